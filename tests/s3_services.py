"""An S3-like service on this machine, for the tests of stores: moto's server, which keeps objects in memory."""

import logging
import uuid

import pytest

BUCKET = "hpo"


class S3:
    """A service with one bucket, and what the environment must say of it."""

    def __init__(self) -> None:
        reason = "the dev extra has it"
        server = pytest.importorskip("moto.server", reason=reason)
        pytest.importorskip("s3fs", reason=reason)
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._server = server.ThreadedMotoServer("127.0.0.1", 0)
        self.start()
        _, self.port = self._server.get_host_and_port()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "not so secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def make_bucket(self) -> None:
        import fsspec  # type: ignore[import-untyped]

        service = fsspec.filesystem("s3", skip_instance_cache=True)
        if not service.exists(BUCKET):
            service.mkdir(BUCKET)

    def new_place(self) -> str:
        """A URL below which there is nothing."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex[:8]}/store"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
