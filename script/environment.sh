# Sourced by the scripts beside it: finds Python and keeps the virtual environment .venv as the lock says.
# shellcheck shell=bash

shopt -s inherit_errexit # a failure inside $(...) ends the script too

VENV=.venv
PYTHON=$VENV/bin/python
CLIENT=clients/python
OLDEST_PYTHON="3, 11"

# Say in one line why nothing more can be done, and what to do.
give_up() {
    printf '%s: %s\n' "${0#./}" "$1" >&2
    exit 1
}

# Every extra that the project declares, for the scripts that need them all.
all_extras() {
    "$(find_python)" -c 'import tomllib; print(",".join(tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]))'
}

# Make .venv hold the project with the given extras, at the locked versions: ensure_environment local,postgres
# Costs nothing when that was done before and neither the project nor the lock has changed since.
ensure_environment() {
    local extras=$1 fingerprint
    fingerprint=$(_fingerprint)
    if _is_installed "$extras" "$fingerprint"; then
        return
    fi
    _ensure_venv
    rm -f "$VENV"/.installed-*
    _install "$extras"
    printf '%s\n' "$fingerprint" >"$VENV/.installed-$extras"
}

# Whether an earlier run installed these extras, and perhaps more, from the same project and lock.
_is_installed() {
    local stamp extra
    stamp=$(compgen -G "$VENV/.installed-*") && [ -x "$PYTHON" ] && [ "$(cat "$stamp")" = "$2" ] || return 1
    for extra in ${1//,/ }; do
        [[ ,${stamp#*.installed-}, == *,$extra,* ]] || return 1
    done
}

# What an installed environment depends on: the project's needs, the locked versions and its own place.
_fingerprint() {
    { cat pyproject.toml requirements.lock "$CLIENT/pyproject.toml"; pwd -P; } | sha256sum
}

_ensure_venv() {
    if "$PYTHON" -m pip --version >/dev/null 2>&1 && _is_new_enough "$PYTHON"; then
        return
    fi
    local python output
    python=$(find_python)
    echo "Making a virtual environment with $("$python" --version) ..." >&2
    if ! output=$("$python" -m venv --clear "$VENV" 2>&1); then
        rm -rf "$VENV"
        give_up "$python cannot make a virtual environment in $VENV: ${output##*$'\n'}"
    fi
}

# Names of the Debian packages without which nothing runs, as far as they are missing: Python's venv module, and the
# OpenMP library that llama.cpp is linked with.
missing_packages() {
    local python
    python=$(find_python)
    "$python" -c 'import ensurepip' 2>/dev/null || "$python" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))'
    [ ! -x /sbin/ldconfig ] || [[ $(/sbin/ldconfig -p) == *libgomp.so.1* ]] || echo libgomp1
}

can_install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

install_packages() {
    echo "Installing the system packages $* ..." >&2
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null; then
        give_up "apt-get could not install $*; what it says above tells why. Install them and run the command again."
    fi
}

# Install what is missing where that takes no question, else say how.
ensure_packages() {
    local missing
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        return
    fi
    can_install_packages || give_up "System packages are missing. On Debian and Ubuntu: $(_as_root)apt-get install -y ${missing//$'\n'/ }"
    # shellcheck disable=SC2086 # one word a package
    install_packages $missing
}

find_python() {
    local candidate found
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && _is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null) || give_up "Python is not installed. Install 3.11 or newer: $(_as_root)apt-get install -y python3 python3-venv"
    give_up "$found is too old: Cloudyard needs 3.11 or newer, which Debian 12 and Ubuntu 24.04 have. Put a newer python3 first on PATH, or use such a system."
}

_is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < ($OLDEST_PYTHON))" 2>/dev/null
}

_as_root() {
    [ "$(id -u)" = 0 ] || printf 'sudo '
}

# Install with pip, showing one moving line on a terminal and a line a stage elsewhere. The whole log is kept.
# With the extra dev, the Python client is installed beside the server, as its users have it.
_install() {
    local log=$VENV/install.log projects=(--editable ".[$1]")
    [[ ,$1, != *,dev,* ]] || projects+=(--editable "${CLIENT}[live]")
    echo "Installing Cloudyard and the libraries of requirements.lock into $VENV ..." >&2
    if ! "$PYTHON" -m pip install --disable-pip-version-check --no-input --progress-bar off --retries 2 \
        --constraint requirements.lock "${projects[@]}" 2>&1 | tee "$log" | _show_progress; then
        _explain_failure "$log"
    fi
}

_show_progress() {
    local line seen=0
    while read -r line; do
        case $line in
            Collecting* | "Requirement already satisfied"*) seen=$((seen + 1)) ;;&
            Collecting* | Downloading* | Building* | "Installing collected"*) _moving_line "  $seen packages: $line" ;;
            "Successfully installed"*) _clear_line && echo "Installed $(wc -w <<<"${line#Successfully installed }") packages." >&2 ;;
        esac
    done
}

_moving_line() {
    [ ! -t 2 ] || printf '\r\033[K%.*s' "$((${COLUMNS:-80} - 1))" "$1" >&2
}

_clear_line() {
    [ ! -t 2 ] || printf '\r\033[K' >&2
}

_explain_failure() {
    _clear_line
    if grep -qE 'from versions: none|Failed to establish a new connection|name resolution|Name or service not known|Network is unreachable|timed out|ProxyError' "$1"; then
        give_up "The Python package index cannot be reached, so nothing could be installed. Check the network, the proxy (HTTPS_PROXY) and pip's index (PIP_INDEX_URL), then run the command again."
    fi
    if grep -q 'No space left on device' "$1"; then
        give_up "The disk is full, so not everything could be installed (about 400 MB). Free some space and run the command again."
    fi
    give_up "pip could not install Cloudyard: $(grep -m1 '^ERROR' "$1" || tail -n1 "$1") The whole log is in $1."
}
