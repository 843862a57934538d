# Your code and the packages that it needs, on top of this project's image; the folder that is built is yours:
#
#   docker build -f deploy/own.Dockerfile -t REGISTRY/mine:1 ./own
#
# Build arguments:
#   SEARCH_IMAGE   this project's image, which was built before
ARG SEARCH_IMAGE=optuna-search-service:local
FROM ${SEARCH_IMAGE}
# a folder without this file is fine too
COPY requirements.tx[t] /app/own/
USER root
RUN if [ -e /app/own/requirements.txt ]; \
    then pip install --constraint /app/constraints.txt --requirement /app/own/requirements.txt && pip check; \
    fi
USER search
COPY . /own
WORKDIR /own
