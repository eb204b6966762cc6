# shellcheck shell=bash
# For the stages to source: what they share, and where it is kept.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/edge-agent
root_tar=$cache/root-arm64.tar
# shellcheck disable=SC2034  # for who sources this
kernel=$cache/kernel
mkdir -p "$cache"

fail() {
    echo "on-a-pi: $*" >&2
    exit 1
}

need() { # need PROGRAM PACKAGE…: installs what is missing
    command -v "$1" >/dev/null && return
    shift
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Programs for arm64 run here as if they were this machine's.
emulate() {
    need qemu-aarch64-static qemu-user-static
    local binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
    [ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
}

# Debian's own emulator of machines (7.2) has trouble with newer helpers; the backported one is taken where it can be had.
emulator() {
    command -v qemu-system-aarch64 >/dev/null && return
    local sources=$cache/backports.sources mirror
    mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | grep -v security | head -n 1)
    printf 'Types: deb\nURIs: %s\nSuites: bookworm bookworm-updates bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
        "$mirror" >"$sources"
    mkdir -p "$cache/lists/partial"
    local apt=(apt-get -qq -o Dir::Etc::sourceparts=/dev/null -o "Dir::Etc::sourcelist=$sources" -o "Dir::State::lists=$cache/lists")
    "${apt[@]}" update
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends --no-remove -t bookworm-backports \
        qemu-system-arm qemu-user-static >/dev/null
}

package() { # package NAME: the arm64 package, made if need be
    local file
    file=$(find target/debian -name "$1_*_arm64.deb" 2>/dev/null | sort | tail -n 1)
    if [ -z "$file" ]; then
        provisioning/package --only arm64 >&2
        file=$(find target/debian -name "$1_*_arm64.deb" | sort | tail -n 1)
    fi
    [ -n "$file" ] || fail "there is no arm64 package of $1"
    echo "$file"
}

# A root file system in $1 with both packages, and `guest` to be run at its start.
furnish() {
    emulate
    tar -C "$1" -xf "$root_tar" --exclude='./dev/*'
    [ -e "$1/dev/console" ] || mknod "$1/dev/console" c 5 1
    cp "$(package edge-agent)" "$(package edgectl)" "$1/tmp/"
    # shellcheck disable=SC2016  # it is the inner shell's
    unshare --mount sh -c 'mount -t proc proc "$1/proc" && chroot "$1" sh -c "dpkg -i /tmp/*.deb"' sh "$1" >"$cache/dpkg.log" 2>&1 ||
        { cat "$cache/dpkg.log" >&2 && fail "dpkg"; }
    rm -f "$1"/tmp/*.deb
    install -m 755 tests/on-a-pi/guest "$1/usr/local/bin/guest"
    install -m 755 tests/on-a-pi/keeper "$1/usr/local/bin/keeper-trial"
    printf '[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/guest\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\n[Install]\nWantedBy=multi-user.target\n' \
        >"$1/etc/systemd/system/guest.service"
    chroot "$1" systemctl -q enable guest.service
    # On a busy machine an emulated one takes minutes for what a Pi does in seconds.
    mkdir -p "$1/etc/systemd/system.conf.d"
    printf '[Manager]\nDefaultTimeoutStartSec=10min\n' >"$1/etc/systemd/system.conf.d/emulated.conf"
    date +%s >"$1/etc/today"
    echo uninitialized >"$1/etc/machine-id"
    echo pi-0042 >"$1/etc/hostname"
    echo '127.0.0.1 localhost pi-0042' >"$1/etc/hosts"
}

# The whole root as what the kernel unpacks into memory: no disk driver is needed.
initramfs() { # initramfs FOLDER FILE
    ln -sf sbin/init "$1/init"
    (cd "$1" && find . -xdev | cpio -o -H newc --quiet) | zstd -q -T2 -6 -o "$2" -f
}

# Runs a machine until MARK is on its console, or it fails, or LIMIT seconds have passed; then its power is cut.
machine() { # machine LOG MARK LIMIT QEMU-ARGUMENT…
    local log=$1 mark=$2 limit=$3 pid waited
    shift 3
    qemu-system-aarch64 -display none -monitor none -no-reboot "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    for ((waited = 0; waited < limit * 5; waited++)); do
        sleep 0.2
        if grep -aq -e "$mark" -e 'guest: FAILED' "$log" || ! kill -0 $pid 2>/dev/null; then break; fi
    done
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    grep -a 'guest: ' "$log" | sed 's/^.*guest: /  /' || true
    grep -aq "$mark" "$log" || fail "not on the console of $log: $mark"
}
