#!/bin/sh
# Make a virtual environment, or say in one line why it cannot be made; given again it goes on.
#   environment.sh <python> <folder> <what pip shall install>…
set -u
python=$1 folder=$2
shift 2

refuse() {
    echo "etude: $*" >&2
    exit 1
}

# Run a command silently; if it fails, say why.
try() {
    printed=$("$@" 2>&1) && return
    case $printed in
    *"No space left on device"*)
        refuse "the disk is full; PyTorch takes some gigabytes here and, meanwhile, in" \
            "${TMPDIR:-/tmp}. Make room, or set TMPDIR to another disk, and give the command again"
        ;;
    *"ensurepip is not"* | *"No module named venv"* | *"No module named ensurepip"*)
        refuse "$python lacks the module venv; \`apt install python3-venv\` brings Debian's and" \
            "Ubuntu's. Then give the command again"
        ;;
    *NewConnectionError* | *NameResolutionError* | *ConnectTimeout* | *ReadTimeout* | *ProxyError* | \
        *"Max retries exceeded"* | *"Connection refused"* | *"Connection reset"* | \
        *"Failed to establish a new connection"* | *"Name or service not known"* | *"name resolution"*)
        refuse "the network does not reach the packages' index. Once it does, or pip's settings name" \
            "another (PIP_INDEX_URL, HTTPS_PROXY), give the command again"
        ;;
    esac
    refuse "$1 failed: $(echo "$printed" | grep -v '^\[notice\]' | tail -n 1)"
}

command -v "$python" >/dev/null ||
    refuse "there is no $python; name one of at least 3.11, as in make PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "$("$python" --version 2>&1) is too old, it takes 3.11; name a newer one, as in" \
        "make PYTHON=python3.12, or let uv bring it: uv run etude"

echo "setting up $folder (once; PyTorch with CUDA is a download of some gigabytes)"
# What an earlier try has left may lack its pip.
"$folder/bin/python" -m pip --version >/dev/null 2>&1 || try "$python" -m venv --clear "$folder"
try "$folder/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
try "$folder/bin/python" -m pip install --quiet "$@"
touch "$folder/ready"
