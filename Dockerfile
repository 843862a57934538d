# One image for every role: create, fetch, work, dashboard, and each other command of `search`.
#
#   docker build -t optuna-search-service:local .
#
# Build arguments:
#   TORCH_SOURCE   pip's options for torch and torchvision alone, say "--index-url ADDRESS" with the address of
#                  PyTorch's CPU wheels (its installation page has it) for an image of 1.5 GB instead of 6 GB; their
#                  hashes are not checked then: hashes-torch.txt has those of the usual index
#   BAKE_DATA      1: FashionMNIST is fetched now and is part of the image
#   PYTHON_IMAGE   the base image, best with its digest: `make digests` prints it
ARG PYTHON_IMAGE=python:3.13-slim-trixie
FROM ${PYTHON_IMAGE}

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app

# the large layers: they change only with the pinned versions
ARG TORCH_SOURCE=""
COPY constraints.txt hashes.txt hashes-torch.txt ./
RUN pip install --only-binary :all: --require-hashes --requirement hashes.txt
RUN if [ -z "$TORCH_SOURCE" ]; \
    then pip install --only-binary :all: --require-hashes --requirement hashes.txt --requirement hashes-torch.txt; \
    else pip install --only-binary :all: --constraint constraints.txt ${TORCH_SOURCE} torch torchvision; \
    fi

COPY pyproject.toml README.md optuna_search_service.py ./
COPY models models
COPY search search
COPY studies studies
RUN pip install --no-deps --no-build-isolation --editable . \
 && pip check \
 && useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin search \
 && install --directory --owner search /data /store

# The engine is compiled once, here; each container starts with a copy of it (deploy/entrypoint.sh). /tmp, /data
# where FashionMNIST is fetched into it, and /store where code of yours keeps files, is all that a running container writes.
RUN NUMBA_CACHE_DIR=/opt/engine python -c "from models.engines import cpu; cpu.prepare()"
ENV NUMBA_CACHE_DIR=/tmp/engine SEARCH_DATA=/data MPLCONFIGDIR=/tmp/matplotlib SEARCH_HEALTH_FILE=/tmp/beat
ENV SEARCH_TRIALS_DIR=/tmp/trials SEARCH_STORE=/store
# whoever can write to the database names the objectives of its studies: none is run unless whoever starts a worker names it
ENV SEARCH_ALLOW_OBJECTIVES=none
COPY deploy/entrypoint.sh /usr/local/bin/search-entrypoint
USER search
ARG BAKE_DATA=""
RUN if [ "$BAKE_DATA" = 1 ]; then search fetch lab; fi

# A worker touches the file with every beat, a third of the grace apart; the dashboard's check is in docker-compose.yml.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD test -n "$(find "$SEARCH_HEALTH_FILE" -newermt '-60 seconds' 2>/dev/null)"
ENTRYPOINT ["search-entrypoint"]
CMD ["search", "--help"]
