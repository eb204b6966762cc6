# shellcheck shell=bash
# For other scripts to source: what a build for a 64-bit Raspberry Pi needs on a Debian that is none.
#
# A compiler with the aarch64 standard library: rustup's, where that target is installed (`rustup target add
# aarch64-unknown-linux-gnu`), else Debian's. A linker from Debian. And, for a run of what was built, an emulator.

aarch64_target=aarch64-unknown-linux-gnu
# What the linker's libc asks of a Pi at most; Raspberry Pi OS has a newer one since bookworm (2.36).
# shellcheck disable=SC2034  # for who sources this
glibc_floor=2.34
# Older compilers don't read all of the sources.
aarch64_oldest_rust=1.95

# aarch64_ready linker|emulator: 0 once all is there, installed by root if need be; else 1, and why in aarch64_lacks.
aarch64_ready() {
    local log version
    aarch64_lacks=
    local packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    [ "$1" != emulator ] || packages+=(qemu-user-static libc6:arm64 libgcc-s1:arm64)
    aarch64_rustup || packages+=(rustc-web libstd-rust-web-dev:arm64)
    if ! aarch64_installed "${packages[@]}"; then
        if ! command -v apt-get >/dev/null; then
            aarch64_lacks="it needs ${packages[*]}, and this is no Debian"
            return 1
        fi
        local root=()
        [ "$(id -u)" -eq 0 ] || root=(sudo -n)
        if ! "${root[@]}" true 2>/dev/null; then
            aarch64_lacks="it needs ${packages[*]}, and only root may install them"
            return 1
        fi
        echo "installing ${packages[*]}"
        log=$(mktemp)
        # --no-remove: rather fail than take anything off this machine.
        if ! { "${root[@]}" dpkg --add-architecture arm64 && "${root[@]}" apt-get update &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 install \
                --no-install-recommends --no-remove "${packages[@]}"; } </dev/null >"$log" 2>&1; then
            aarch64_lacks="can't install ${packages[*]}: $(tail -n 1 "$log")"
        fi
        rm -f "$log"
        [ -z "$aarch64_lacks" ] || return 1
    fi
    aarch64_rustup && return
    version=$(aarch64_version rustc-web)
    # The compiler moves with security updates, and reads the library of its own version only.
    if [ "$version" != "$(aarch64_version libstd-rust-web-dev:arm64)" ]; then
        aarch64_lacks="rustc-web is $version, its arm64 library $(aarch64_version libstd-rust-web-dev:arm64)"
    elif [ "$(printf '%s\n' "$aarch64_oldest_rust" "$version" | sort -V | head -n 1)" != "$aarch64_oldest_rust" ]; then
        aarch64_lacks="Debian serves Rust $version; the project needs $aarch64_oldest_rust"
    fi
    [ -z "$aarch64_lacks" ]
}

# Sets the environment of a cargo that builds for aarch64. In a sub-shell, and with a target folder of its own: it may
# name another compiler than the rest of the work has.
aarch64_environment() {
    if ! aarch64_rustup; then
        export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
    fi
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
    # Without -L: another libc than the one that its loader belongs to makes a program hang at its first thread.
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static
}

aarch64_rustup() {
    compgen -G "$(rustc --print target-libdir --target "$aarch64_target" 2>/dev/null)/libstd-*.rlib" >/dev/null
}

aarch64_installed() {
    local package
    for package; do [ -n "$(aarch64_version "$package")" ] || return 1; done
}

aarch64_version() { # aarch64_version PACKAGE: the installed one's, or nothing
    dpkg-query -W -f='${db:Status-Status} ${Version}' "$1" 2>/dev/null | sed -n 's/^installed //p'
}
