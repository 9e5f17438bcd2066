# shellcheck shell=sh
# The environment of scripts/run, scripts/test, scripts/check and scripts/docs: a .venv in the checkout with pypm in it.
#
# Sourced by them with the checkout as working directory. Needs sh, a Python and, the first time, a package
# index. ensure_environment is quick when nothing has changed and repairs what an interrupted run has left.
#
# .venv/.unfinished says that somebody is at work on .venv or was interrupted while at it; .venv/.installed-*
# holds what pypm was last installed from.

checkout=$(pwd -P)
venv=.venv
unfinished=$venv/.unfinished
install_log=$venv/.install.log
python=

say() {
    printf '%s\n' "$*"
}

# fail LINE...: tells what is wrong, a line each, and ends the script with status 1.
fail() {
    {
        printf 'scripts/%s: %s\n' "${0##*/}" "$1"
        shift
        [ $# -eq 0 ] || printf '  %s\n' "$@"
    } >&2
    exit 1
}

# ensure_environment base|test|docs: afterwards .venv/bin/pypm works, with "test" also what the tests need, with
# "docs" what the tests and the documentation need.
ensure_environment() {
    [ "$(uname -s)" = Linux ] || fail "pypm needs Linux; this is $(uname -s)."
    if is_installed "$1"; then return; fi
    trap 'exit 130' INT # a bash run as sh would go on after a Ctrl-C that pip has answered
    take_lock
    if ! is_installed "$1"; then # else whoever had the lock has done it
        venv_works || make_venv
        install_pypm "$1"
    fi
    exec 9<&- # the agents' master must not inherit the lock
    trap - INT
}

is_installed() {
    venv_works || return 1
    case $1 in
    base) marks='base test docs' ;; # each has what those before it have
    test) marks='test docs' ;;
    docs) marks=docs ;;
    esac
    for mark in $marks; do
        if matches_fingerprint "$venv/.installed-$mark"; then return 0; fi
    done
    return 1
}

# The package is installed editable, so only what its metadata is made from counts; and the checkout's path,
# because a moved or copied .venv points to the old place.
fingerprint() {
    printf '%s\n' "$checkout"
    cat pyproject.toml pypm/__init__.py
}

matches_fingerprint() {
    [ -r "$1" ] && [ "$(cat "$1")" = "$(fingerprint)" ]
}

# Works: finished, its base Python is still there and still the one it was made with.
venv_works() {
    [ ! -e "$unfinished" ] && "$venv/bin/python" -I -c '
import importlib.util, sys
sys.exit(not (sys.version_info >= (3, 11) and importlib.util.find_spec("pip")))' </dev/null >/dev/null 2>&1
}

# Two scripts at once would install over each other. The lock is on the open description behind descriptor 9,
# so it stays when the Python that took it ends, and goes when the last process that has it ends.
take_lock() {
    locker=$venv/bin/python
    if ! venv_works; then
        find_python
        locker=$python
    fi
    exec 9<pyproject.toml
    "$locker" -I -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another script is making .venv; waiting for it …", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)' || fail "could not lock the checkout against other scripts."
}

# Sets python to the first Python >= 3.11 that can make virtual environments, or fails and says what was seen.
find_python() {
    [ -z "$python" ] || return 0
    seen_old= seen_bare= bare_version=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        # A pyenv shim without a version, a broken link: not there, as far as we are concerned.
        version=$("$candidate" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' </dev/null 2>/dev/null) ||
            continue
        case $version in
        [012].* | 3.[0-9] | 3.10) seen_old="$seen_old $candidate ($version)" ;;
        *)
            if "$candidate" -I -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1; then
                python=$candidate
                return 0
            fi
            seen_bare=${seen_bare:-$candidate}
            bare_version=${bare_version:-$version}
            ;;
        esac
    done
    if [ -n "$seen_bare" ]; then
        fail "$seen_bare (Python $bare_version) has no venv module, which makes the environment that pypm is installed into." \
            "On Debian and Ubuntu it is a package of its own:" \
            "    apt install python3-venv        (or python$bare_version-venv)" \
            "Then run this again."
    fi
    if [ -n "$seen_old" ]; then
        fail "pypm needs Python 3.11 or newer; found only$seen_old." \
            "Install a newer one (your distribution's python3.11 … python3.14, or https://www.python.org)," \
            "see that it is on PATH, and run this again."
    fi
    fail "no Python was found on PATH; pypm needs Python 3.11 or newer." \
        "On Debian and Ubuntu: apt install python3 python3-venv"
}

make_venv() {
    find_python
    if [ -e "$venv" ] || [ -L "$venv" ]; then
        # Only what is certainly a virtual environment is thrown away.
        [ -e "$unfinished" ] || [ -e "$venv/pyvenv.cfg" ] ||
            fail "$checkout/$venv is in the way: it is not a virtual environment. Move it elsewhere."
        say "$venv is incomplete or broken: making it anew."
    fi
    mkdir -p "$venv" && : >"$unfinished" || fail "cannot write to $checkout/$venv."
    for entry in "$venv"/* "$venv"/.[!.]*; do
        [ "$entry" = "$unfinished" ] || rm -rf -- "$entry"
    done
    say "Making $venv with $("$python" -I -c 'import platform, sys; print(f"Python {platform.python_version()} ({sys.executable})")') …"
    "$python" -I -m venv "$venv" >"$install_log" 2>&1 || {
        show_install_log
        fail "$python could not make a virtual environment (its words are above)."
    }
}

# The mark stays when this is interrupted (a package may then be half there); when pip says no by itself, the
# environment is sound and the next try begins from it.
install_pypm() {
    case $1 in
    base) what=. ;;
    test) what='.[test]' ;;
    docs) what='.[test,docs]' ;;
    esac
    say "Installing pypm$([ "$1" = base ] || printf ' and the tools for %s' "$1") into $venv; this takes a moment, once …"
    : >"$unfinished"
    rm -f "$venv"/.installed-*
    status=0
    PIP_USER=0 "$venv/bin/python" -I -m pip install --quiet --no-input --disable-pip-version-check \
        --editable "$what" </dev/null >"$install_log" 2>&1 || status=$?
    [ $status -le 128 ] || fail "pip was ended by a signal; run this again."
    rm -f "$unfinished"
    [ $status -eq 0 ] || explain_failed_install
    fingerprint >"$venv/.installed-new"
    mv "$venv/.installed-new" "$venv/.installed-$1"
}

explain_failed_install() {
    show_install_log
    case $(cat "$install_log") in
    *NewConnectionError* | *ConnectTimeout* | *"Read timed out"* | *ProxyError* | *"name resolution"* | *"Failed to resolve"* | *"Network is unreachable"*)
        fail "pip cannot reach the package index (its words are above)." \
            "pypm's dependencies are fetched once, so the first run needs a network. Behind a proxy set" \
            "https_proxy; for a mirror set PIP_INDEX_URL. Then run this again."
        ;;
    *"No space left on device"*) fail "the disk is full (pip's words are above)." ;;
    *) fail "pip could not install pypm (its words are above; all of them in $install_log)." ;;
    esac
}

show_install_log() {
    tail -n 15 "$install_log" | sed 's/^/    /' >&2
}
