# shellcheck shell=bash
# For scripts that start containers to source. Without a systemd outside, a container's one makes its groups below those
# of this shell: so it gets some of its own.
if [ ! -d /run/systemd/system ]; then
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -w "$hierarchy/cgroup.procs" ] && mkdir -p "$hierarchy/edge-agent-$$" 2>/dev/null; then
            echo $$ >"$hierarchy/edge-agent-$$/cgroup.procs"
        fi
    done
fi
