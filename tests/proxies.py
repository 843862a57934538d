"""A real nginx in front of what a test serves, with a configuration of the test's own."""

import pathlib
import socket
import subprocess
import time

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxied;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  gzip on;
  gzip_proxied any;
  gzip_types application/json text/javascript;
  server {{
    listen 127.0.0.1:{port}{ssl};
    {certificate}
    {locations}
  }}
}}
"""


class Nginx:
    """A server of nginx on loopback, while a test runs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def serve(self, locations: str, tls: bool = False) -> int:
        """Starts one with these `location` blocks; returns its port, on which it answers by now."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        folder = self._folder / str(port)
        folder.mkdir()
        text = CONFIGURATION.format(
            folder=folder,
            port=port,
            locations=locations,
            ssl=" ssl" if tls else "",
            certificate=_certificate(folder) if tls else "",
        )
        (folder / "nginx.conf").write_text(text)
        process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
        self._started.append(process)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert process.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return port

    def end(self) -> None:
        for process in self._started:
            process.terminate()
            process.wait(20)


def _certificate(folder: pathlib.Path) -> str:
    """Lines of a configuration with a certificate that the server has signed itself."""
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        [*command.split(), "-keyout", folder / "key", "-out", folder / "crt"], check=True, capture_output=True
    )
    return f"ssl_certificate {folder}/crt; ssl_certificate_key {folder}/key;"
