#!/bin/sh
# Installs the peers that bench/run.py compares with into environments of their own below bench/out/peers.
#
#   bench/peers.sh            then: python bench/run.py
#
# LiteLLM is pinned, for some of its releases were malicious (1.82.7 and 1.82.8, and 1.107.0 by report). Before another
# is named here: was it out for weeks, and does it ask for no package that the one before did not?
set -eu
LITELLM=${LITELLM_VERSION:-1.100.5}
PEERS=$(cd "$(dirname "$0")" && pwd)/out/peers
case $LITELLM in 1.82.7 | 1.82.8 | 1.107.*) echo "refused: litellm $LITELLM is among the malicious ones" >&2; exit 1 ;; esac

mkdir -p "$PEERS"
"${PYTHON:-python3}" -m venv "$PEERS/litellm"
"$PEERS/litellm/bin/python" -m pip install --quiet --only-binary :all: "litellm[proxy]==$LITELLM"
echo "installed $PEERS/litellm/bin/litellm ($LITELLM)"
