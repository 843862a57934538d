# One image for every role: create, work, dashboard, and each other command of `search`.
#
#   docker build -t optuna-search-service:local .
#
# Build arguments:
#   TORCH_SOURCE   pip's options for torch and torchvision alone, say "--index-url ADDRESS" with the address of
#                  PyTorch's CPU wheels (its installation page has it) for an image of 1.5 GB instead of 6 GB
#   BAKE_DATA      1: FashionMNIST is fetched now and is part of the image
#   PYTHON         tag of the base image
ARG PYTHON=3.13-slim-trixie
FROM python:${PYTHON}

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app

# the large layer: it changes only with the pinned versions
ARG TORCH_SOURCE=""
COPY constraints.txt .
RUN pip install --only-binary :all: --constraint constraints.txt ${TORCH_SOURCE} torch torchvision

COPY pyproject.toml .
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /tmp/needed.txt \
 && pip install --only-binary :all: --constraint constraints.txt --requirement /tmp/needed.txt \
 && rm /tmp/needed.txt

COPY README.md .
COPY models models
COPY search search
COPY studies studies
RUN pip install --no-deps --editable . \
 && useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin search \
 && mkdir -p /data /var/cache/search/numba \
 && chown -R search: /data /var/cache/search

# Below these two folders, and /tmp, is all that a running container writes. Volumes that are mounted there start with
# what the image has: the compiled engine, so that workers need not compile it, and FashionMNIST where it is baked in.
ENV NUMBA_CACHE_DIR=/var/cache/search/numba SEARCH_DATA=/data MPLCONFIGDIR=/tmp/matplotlib SEARCH_HEALTH_FILE=/tmp/beat
USER search
RUN python -c "from models.engines import cpu; cpu.prepare()"
ARG BAKE_DATA=""
RUN if [ "$BAKE_DATA" = 1 ]; then python -c "from models import sources; sources.find(__import__('pathlib').Path('/data'))"; fi

# A worker touches the file with every beat, a third of the grace apart; the dashboard's check is in docker-compose.yml.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD test -n "$(find "$SEARCH_HEALTH_FILE" -newermt '-60 seconds' 2>/dev/null)"
CMD ["search", "--help"]
