#!/usr/bin/env bash
# What a call costs other programs, on this machine and in one run with ours: outdial, PJSUA's own conference bridge,
# Asterisk and baresip call the same callee, which answers at once and reflects the sound. Each speaks a tone into all
# calls and takes what comes back; none records, none mixes.
#
#   cargo build --release -p outdial-cli
#   cargo build --release -p pjsip-sys --example conference_caller
#   cargo xtask peers up && cargo xtask peers down     # installs Asterisk, once
#   apt-get install baresip-core
#   benches/compare.sh [CALLS] [SECONDS]
#
# A caller that is not installed is left out. The figure is user and system time of the caller's process, from /proc,
# per call and second. That calls talk is seen at the callee, which counts their packets: 50 a second and call.
set -euo pipefail

calls=${1:-100}
seconds=${2:-10}
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/release
outdial=$target/outdial
asterisk=${OUTDIAL_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/outdial-peers}/asterisk
work=$(mktemp -d)
running=()

finish() {
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

# --- The callee --------------------------------------------------------------------------------------------------

callee_begins() {
    coproc CALLEE { exec "$outdial" bench callee --codec pcmu; }
    read -r ready <&"${CALLEE[0]}"
    sip=$(sed -E 's/.*"sip":"([^"]+)".*/\1/' <<<"$ready")
}

ask_callee() {
    echo "$1" >&"${CALLEE[1]}"
    read -r reply <&"${CALLEE[0]}"
}

callee_ends() {
    local pid=$CALLEE_PID
    eval "exec ${CALLEE[1]}>&-"
    wait "$pid" || true
}

# --- Measuring ---------------------------------------------------------------------------------------------------

# Clock ticks of user and system time of a process.
ticks() { sed -E 's/.*\) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

# measure NAME PID MEMORY_BEFORE: waits until all calls talk, then looks for as long as was said.
measure() {
    local name=$1 pid=$2 before=$3 packets=0 patience=60
    while ((packets < calls * 45)); do
        ((patience-- > 0)) || { echo "$name: only $packets packets a second come" >&2; return; }
        ask_callee reset
        sleep 1
        ask_callee report
        packets=$(sed -E 's/.*"packets":([0-9]+).*/\1/' <<<"$reply")
    done
    sleep 2
    local from=$EPOCHREALTIME used
    used=$(ticks "$pid")
    ask_callee reset
    sleep "$seconds"
    ask_callee report
    packets=$(sed -E 's/.*"packets":([0-9]+).*/\1/' <<<"$reply")
    used=$(($(ticks "$pid") - used))
    local memory=$(($(resident_kb "$pid") - before))
    local interval
    interval=$(sed -E 's/.*"p50":([0-9.]+),"p99":([0-9.]+).*/\1 \/ \2/' <<<"$reply")
    awk -v name="$name" -v calls="$calls" -v used="$used" -v hz="$(getconf CLK_TCK)" -v from="$from" \
        -v to="$EPOCHREALTIME" -v packets="$packets" -v memory="$memory" -v interval="$interval" 'BEGIN {
            time = to - from
            printf "| %s | %.0f | %.1f | %s ms | %.0f KB |\n", name, used / hz * 1e6 / calls / time,
                packets / calls / time, interval, memory / calls
        }'
}

# --- Callers -----------------------------------------------------------------------------------------------------

with_outdial() {
    local report
    report=$("$outdial" bench capacity --calls "$calls" --rate "$1" --seconds "$seconds" --json | tail -n 1)
    get() { sed -E "s/.*\"$1\":([0-9.]+).*/\1/" <<<"$report"; }
    local interval
    interval=$(sed -E 's/.*"wire_interval_ms":\{"p50":([0-9.]+),"p99":([0-9.]+).*/\1 \/ \2/' <<<"$report")
    printf '| bare system calls | %.0f | 50 | | |\n' "$(get floor_us_per_call_second)"
    printf '| outdial, application at %s Hz | %.0f | 50 | %s ms | %.0f KB |\n' "$1" \
        "$(get cpu_us_per_call_second)" "$interval" "$(get rss_kb_per_call)"
}

with_bridge() {
    local program=$target/examples/conference_caller
    [[ -x $program ]] || return 0
    callee_begins
    "$program" "$sip" "$calls" >"$work/bridge.log" 2>&1 &
    local pid=$!
    running+=("$pid")
    sleep 1
    measure "PJSUA with its conference bridge" "$pid" "$(resident_kb "$pid")"
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    callee_ends
}

# Three minutes of noise at 8 kHz; baresip keeps it in memory for each call.
noise() {
    local length=$((8000 * 2 * 180))
    little_endian() { printf "\\x$(printf %02x $(($1 & 255)))\\x$(printf %02x $((($1 >> 8) & 255)))\\x$(printf %02x $((($1 >> 16) & 255)))\\x$(printf %02x $((($1 >> 24) & 255)))"; }
    printf RIFF
    little_endian $((length + 36))
    printf 'WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00'
    little_endian 8000
    little_endian 16000
    printf '\x02\x00\x10\x00data'
    little_endian "$length"
    head -c "$length" /dev/urandom
}

with_baresip() {
    command -v baresip >/dev/null || return 0
    callee_begins
    noise >"$work/noise.wav"
    local modules
    modules=$(dirname "$(find /usr/lib /usr/local/lib -name aufile.so -path '*baresip*' | head -n 1)")
    mkdir -p "$work/baresip"
    cat >"$work/baresip/config" <<END
sip_listen 127.0.0.1:0
call_max_calls 0
call_local_timeout 120
audio_source aufile,$work/noise.wav
audio_player aubridge,nobody
audio_alert aubridge,nobody
audio_buffer 20-160
module_path $modules
module g711.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
module cons.so
cons_listen 127.0.0.1:15555
rtp_ports 40000-60000
END
    echo '<sip:bench@127.0.0.1>;regint=0;audio_codecs=PCMU/8000/1' >"$work/baresip/accounts"
    touch "$work/baresip/contacts"
    baresip -f "$work/baresip" >"$work/baresip.log" 2>&1 </dev/null &
    local pid=$! before
    running+=("$pid")
    sleep 2
    before=$(resident_kb "$pid")
    for ((call = 0; call < calls; call++)); do
        echo "/dial sip:$call@$sip" >/dev/udp/127.0.0.1/15555
        sleep 0.05
    done
    measure "baresip, whose memory has the noise" "$pid" "$before"
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    callee_ends
}

with_asterisk() {
    [[ -x $asterisk/usr/sbin/asterisk ]] || return 0
    callee_begins
    local etc=$asterisk/etc/bench run=$asterisk/run/bench modules
    modules=/$(cd "$asterisk" && echo usr/lib/*/asterisk/modules)
    mkdir -p "$etc" "$run" "$asterisk/var/lib/bench" "$asterisk/var/spool/bench" "$asterisk/var/log/bench"
    cat >"$etc/asterisk.conf" <<END
[directories]
astetcdir => /etc/bench
astmoddir => $modules
astvarlibdir => /var/lib/asterisk
astdbdir => /var/lib/bench
astkeydir => /var/lib/asterisk
astdatadir => /usr/share/asterisk
astagidir => /usr/share/asterisk/agi-bin
astspooldir => /var/spool/bench
astrundir => /run/bench
astlogdir => /var/log/bench
[options]
maxfiles = 16384
END
    cp "$root/tests/asterisk/modules.conf" "$etc/modules.conf"
    printf '[general]\n[logfiles]\n' >"$etc/logger.conf"
    printf '[general]\nrtpstart=20000\nrtpend=39999\n' >"$etc/rtp.conf"
    # Asterisk's callers hear a tone and listen to what comes back: Milliwatt reads and drops it.
    printf '[general]\n[talk]\nexten => s,1,Milliwatt()\n' >"$etc/extensions.conf"
    cat >"$etc/pjsip.conf" <<END
[udp]
type=transport
protocol=udp
bind=127.0.0.11:5060
[callee]
type=endpoint
transport=udp
context=talk
disallow=all
allow=ulaw
aors=callee
direct_media=no
[callee]
type=aor
contact=sip:callee@$sip
END
    chroot "$asterisk" asterisk -f -C /etc/bench/asterisk.conf >"$work/asterisk.log" 2>&1 &
    local pid=$! before
    running+=("$pid")
    local rasterisk=(chroot "$asterisk" asterisk -C /etc/bench/asterisk.conf -rx)
    for ((patience = 60; patience > 0; patience--)); do
        "${rasterisk[@]}" "core waitfullybooted" >/dev/null 2>&1 && break
        sleep 1
    done
    before=$(resident_kb "$pid")
    for ((call = 0; call < calls; call++)); do
        "${rasterisk[@]}" "channel originate PJSIP/callee extension s@talk" >/dev/null
    done
    measure "Asterisk 22, a tone" "$pid" "$before"
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    callee_ends
    rm -rf "$etc" "$run"
}

ulimit -n "$(ulimit -Hn)"
echo "$calls calls, PCMU, $seconds s; $(nproc) cores, load $(cut -d ' ' -f 1 /proc/loadavg)"
echo
echo '| Caller | CPU, µs per call-second | Packets a second and call | Interval p50 / p99 | Memory per call |'
echo '|---|---|---|---|---|'
with_outdial 8000
with_outdial 16000
with_bridge
with_baresip
with_asterisk
