#!/bin/sh
# A container compiles into a folder of its own, which starts with the engine that the image holds: compiled code is
# trusted by whoever loads it, so no container may write what another one loads.
set -eu
if [ ! -e "$NUMBA_CACHE_DIR" ] && cp -r /opt/engine "$NUMBA_CACHE_DIR.new" 2>/dev/null; then
    mv "$NUMBA_CACHE_DIR.new" "$NUMBA_CACHE_DIR"
fi
# empty is as good as unset everywhere else; here it must not be as good as `all`
export SEARCH_ALLOW_OBJECTIVES="${SEARCH_ALLOW_OBJECTIVES:-none}"
exec "$@"
