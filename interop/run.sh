#!/usr/bin/env bash
# The working group's interop scripts, played by its own runner against our client and others'.
#
#   interop/run.sh self                    our client with itself
#   interop/run.sh mls-go                  our client with mls-go's
#   interop/run.sh all                     both
#   interop/run.sh --peer NAME[@VERSION]=HOST:PORT   our client with one that is running; can be repeated
#   interop/run.sh --start NAME[@VERSION]=COMMAND    our client with one that this command starts, with
#                                          {port} for the port: anew for each script, since some don't
#                                          outlive an error. It is split at spaces, and has to be the
#                                          server itself, which is stopped by a signal
#
#   --suites "1 2 3"         only these cipher suites (default: all that both have)
#   --configs "commit …"     only these (default: all eight)
#   --mode public|private    only this form of handshake messages (default: both)
#   --grease all|capabilities|off   what our client sends of it (default: all)
#   --unbound-reinit         join re-initialized groups whose Welcome lacks their pre-shared key (mls-go)
#   --offer "1 3"            the cipher suites that our client has (default: all)
#   --client PATH            our client, built; otherwise it is built in release mode
#   --runner PATH            a test runner that is built, with the folder configs beside it
#   --mls-go PATH            mls-go's interop server, built
#   --results DIR            where the runner's results go (default: interop/results)
#   --write                  put the tables into INTEROP.md, too, each between its marks
#
# Without a path the programs are built from Go modules, at the versions below. Building the runner
# needs Go and protoc. Ends with 1 if any case failed, with 3 if a program could not be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

runner_module=github.com/mlswg/mls-implementations@cfd450286d1bfd9cd2519b95c80f9771f94a5b1a
mls_go_module=github.com/thomas-vilte/mls-go@v1.6.0
mls_go_server_module=github.com/thomas-vilte/mls-go/interop/server@9d524c5
protoc_gen_go=google.golang.org/protobuf/cmd/protoc-gen-go@v1.33.0
protoc_gen_go_grpc=google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.3.0

cache=${CIRCLET_INTEROP_CACHE:-$here/.cache}
results=$here/results
all_configs='welcome_join application commit external_join external_proposals reinit branch deep_random'
configs=$all_configs
suites=''
mode=''
grease=all
client=''
flags=()
offer=''
runner=${CIRCLET_INTEROP_RUNNER:-}
mls_go=${CIRCLET_INTEROP_MLS_GO:-}
write=false
self=false
with_mls_go=false
peers=()
commands=()

main() {
    parse "$@"
    mkdir -p "$cache" "$results"
    need_runner
    "$with_mls_go" && need_mls_go
    [[ -n $client ]] || build_client

    trap stop EXIT
    local port
    port=$(free_port)
    start circlet "$port" "$client" serve --port "$port" --grease "$grease" \
        "${flags[@]}"
    ours=127.0.0.1:$port

    local status=0 peer
    if "$self"; then pair circlet "$ours" || status=1; fi
    if "$with_mls_go"; then
        port=$(free_port)
        start mls-go "$port" "$mls_go" -port "$port"
        pair "mls-go@${mls_go_module##*@}" "127.0.0.1:$port" || status=1
    fi
    for peer in "${peers[@]}"; do
        pair "${peer%%=*}" "${peer#*=}" || status=1
    done
    for peer in "${commands[@]}"; do
        pair "${peer%%=*}" '' "${peer#*=}" || status=1
    done
    exit "$status"
}

parse() {
    while (($#)); do
        case $1 in
            self) self=true ;;
            mls-go) with_mls_go=true ;;
            all) self=true with_mls_go=true ;;
            --peer) named "${2:?}" && peers+=("$2") && shift ;;
            --start) named "${2:?}" && commands+=("$2") && shift ;;
            --offer) offer=${2:?} && flags+=(--suites "${2// /,}") && shift ;;
            --suites) suites=${2:?} && shift ;;
            --configs) configs=${2:?} && shift ;;
            --mode) mode=-${2:?} && shift ;;
            --unbound-reinit) flags+=(--unbound-reinit) ;;
            --client) client=${2:?} && shift ;;
            --grease) grease=${2:?} && shift ;;
            --runner) runner=${2:?} && shift ;;
            --mls-go) mls_go=${2:?} && shift ;;
            --write) write=true ;;
            --results) results=${2:?} && shift ;;
            *) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
        esac
        shift
    done
    if ! "$self" && ! "$with_mls_go" && ((${#peers[@]} + ${#commands[@]} == 0)); then
        parse --help
    fi
}

# A name becomes a folder.
named() {
    [[ $1 =~ ^[A-Za-z0-9_-]+(@[^=]*)?=.+ ]] && return
    printf 'interop/run.sh: "%s" does not begin with NAME= or NAME@VERSION=\n' "$1" >&2
    exit 2
}

# pair NAME[@VERSION] ADDRESS: plays every config with our client and one other in all roles, and prints
# their table. pair NAME[@VERSION] '' COMMAND starts the other one for each script.
pair() {
    local name=${1%%@*} version='' address=$2 command=${3:-}
    [[ $1 != *@* ]] || version=${1#*@}
    local config suite script file common played='' status=0 files=() scripts
    if "$write"; then "$here/put" --check "$name" || return 1; fi
    rm -rf "${results:?}/$name" "$results/$name.log"
    mkdir -p "$results/$name"
    [[ -z $command ]] || start_other
    common=$("$client" suites --client "$ours" --client "$address") || return 1
    for suite in ${suites:-$common}; do
        [[ " $common " == *" $suite "* ]] || continue
        played+=" $suite"
        for config in $configs; do
            scripts=("$runner_configs/$config.json")
            if [[ -n $command ]]; then
                "$client" split --into "$results/$name/scripts" "${scripts[@]}" || return 1
                scripts=("$results/$name/scripts/$config".*.json)
            fi
            for script in "${scripts[@]}"; do
                [[ -z $command ]] || start_other
                file=$results/$name/$(basename "$script" .json)-$suite.json
                play "$script" >"$file" 2>"$file.log" || true
                files+=("$file")
            done
        done
    done
    [[ -z $command ]] || stop_other
    ((${#files[@]})) || return 1
    "$client" report --name "circlet with $name" "${files[@]}" || status=$?
    if "$write"; then table | "$here/put" "$name" || status=1; fi
    return "$status"
}

# One config in one suite, with the variables of pair.
play() {
    local arguments=(-client "$ours" -config "$1" -suite "$suite")
    [[ $address == "$ours" ]] || arguments+=(-client "$address")
    # With 840 actors all assignments of two clients are not to be had.
    [[ $1 != */deep_random* ]] || arguments+=(-random)
    [[ -z $mode ]] || arguments+=("$mode")
    "$runner" "${arguments[@]}"
}

# What INTEROP.md gets of a pair, with the variables of pair.
table() {
    local format=${mode#-} others=''
    [[ -z $offer ]] || others+=", with no other suites at our client (\`--offer \"$offer\"\`)"
    [[ " ${flags[*]} " != *' --unbound-reinit '* ]] || others+=', `--unbound-reinit`'
    printf '%s, cipher suites%s, handshakes %s, GREASE %s%s.\n\n' \
        "$name${version:+ $version}" "$played" "${format:-public and private}" "$grease" "$others"
    "$client" report --markdown "${files[@]}" || true
}

# Starts the other client of pair, in the place of the one that runs.
start_other() {
    local port
    stop_other
    port=$(free_port)
    address=127.0.0.1:$port
    # shellcheck disable=SC2086
    start "$name" "$port" ${command//\{port\}/$port}
    other=${started[-1]}
}

stop_other() {
    [[ -n $other ]] || return 0
    kill "$other" 2>/dev/null || true
    # It ends by the signal.
    wait "$other" 2>/dev/null || true
    unset 'started[-1]'
    other=''
}

build_client() {
    local target
    cargo build --release --quiet --manifest-path "$here/Cargo.toml" -p circlet-interop
    target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$here/Cargo.toml" |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    client=$target/release/circlet-interop
}

need_runner() {
    if [[ -n $runner ]]; then
        runner_configs=$(dirname "$runner")/configs
        [[ -d $runner_configs ]] && return
        missing 'configs' "$runner_configs" 'a runner with the folder configs beside it'
    fi
    local source build=$cache/runner
    source=$(module "$runner_module") ||
        missing 'test runner' "$runner_module" '--runner PATH (with the folder configs beside it)'
    rm -rf "$build"
    cp -r "$source" "$build"
    chmod -R u+w "$build"
    command -v protoc >/dev/null || missing protoc 'the package protobuf-compiler' \
        '--runner PATH (with the folder configs beside it)'
    GOBIN=$cache/bin go install "$protoc_gen_go"
    GOBIN=$cache/bin go install "$protoc_gen_go_grpc"
    (
        cd "$build/interop/proto"
        PATH=$cache/bin:$PATH protoc -I . mls_client.proto \
            --go_out=. --go_opt=paths=source_relative \
            --go-grpc_out=. --go-grpc_opt=paths=source_relative
        cd "$build" && go mod tidy >/dev/null 2>&1
        cd interop/test-runner && go build -o "$cache/bin/test-runner" .
    )
    runner=$cache/bin/test-runner
    runner_configs=$build/interop/configs
}

need_mls_go() {
    [[ -n $mls_go ]] && return
    # The server is a module of its own that replaces its dependency by the folder around it.
    local library server build=$cache/mls-go
    library=$(module "$mls_go_module") && server=$(module "$mls_go_server_module") ||
        missing "mls-go's interop server" "$mls_go_server_module" '--mls-go PATH'
    rm -rf "$build"
    cp -r "$library" "$build"
    chmod -R u+w "$build"
    mkdir -p "$build/interop"
    cp -r "$server" "$build/interop/server"
    chmod -R u+w "$build"
    (cd "$build/interop/server" && go build -o "$cache/bin/mls-go-server" .)
    mls_go=$cache/bin/mls-go-server
}

# The folder of a Go module, downloaded if it can be had.
module() {
    local found
    found=$(cd / && GOFLAGS=-mod=mod go mod download -json "$1" 2>/dev/null) || return 1
    sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$found"
}

missing() {
    printf 'interop/run.sh: no %s: could not get %s.\nGive %s.\n' "$1" "$2" "$3" >&2
    exit 3
}

started=()
other=''

# start NAME PORT COMMAND...: a server in the background, waited for.
start() {
    local name=$1 port=$2 i
    shift 2
    "$@" >>"$results/$name.log" 2>&1 &
    started+=($!)
    for i in {1..100}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.1
    done
    printf '%s does not answer on port %s; see %s\n' "$name" "$port" "$results/$name.log" >&2
    exit 3
}

stop() {
    ((${#started[@]})) && kill "${started[@]}" 2>/dev/null
    wait 2>/dev/null || true
}

free_port() {
    local port
    for ((port = 50051 + RANDOM % 1000; ; port++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s' "$port" && return; }
    done
}

main "$@"
