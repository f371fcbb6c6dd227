# What follows is POSIX sh and asks for grep, od, sed, sleep and tr. It takes the first of the tools below that brings back an answer of the
# allowed destination, dials with it one attempt after the other, and prints a line for each. LC_ALL: what tools say is read.
LC_ALL=C; export LC_ALL
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
umask 077

have() { command -v "$1" >/dev/null 2>&1; }
# now is a number of seconds: the kernel's since it booted, which nobody sets, or what date takes for the time, 0 if that is no number. A
# zero in front would make it octal.
steady=
{ read -r up _ </proc/uptime; } 2>/dev/null && steady=yes
now() {
  if [ -n "$steady" ]; then
    read -r up _ </proc/uptime
    up=${up%%.*}
  else
    up=$(date +%s 2>/dev/null)
  fi
  case $up in
  '' | *[!0-9]* | ????????????????*) up=0 ;;
  esac
  while :; do
    case $up in
    0?*) up=${up#0} ;;
    *) break ;;
    esac
  done
  echo "$up"
}

say() { printf 'bottle-shell %s %s\n' "$run" "$*"; }
fact() { say "$1 $(printf '%s' "$2" | tr -cd ' -~')"; }

python='
import errno, socket, sys, time
host, port, budget, ask = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4].encode()
stage, name, reply, end = "socket", "-", b"", time.monotonic() + budget
try:
    s = socket.socket()
    def left(): s.settimeout(max(0.001, end - time.monotonic()))
    left(); stage = "connect"; s.connect((host, port))
    left(); stage = "write"; s.sendall(ask + b"\r\n\r\n")
    stage = "read"
    while len(reply) < 1500:
        left(); b = s.recv(1500)
        if not b: break
        reply += b
    stage = "done"
except OSError as x:
    if x.errno: name = errno.errorcode.get(x.errno, "E%d" % x.errno)
print("hex " + "".join("%02x" % c for c in bytearray(reply[:1500])))
print("met %s %s" % (stage, name))
'

perl='
use Socket; use Errno;
my ($host, $port, $budget, $ask) = @ARGV;
my ($stage, $name, $reply) = ("socket", "-", "");
sub name { for my $n (keys %!) { return $n if $!{$n} } return "-" }
$SIG{PIPE} = "IGNORE"; $SIG{ALRM} = sub { die "late\n" }; alarm($budget < 1 ? 1 : $budget);
eval {
  socket(S, PF_INET, SOCK_STREAM, 6) or do { $name = name(); die "x\n" };
  $stage = "connect"; connect(S, sockaddr_in($port, inet_aton($host))) or do { $name = name(); die "x\n" };
  $stage = "write"; defined(syswrite(S, "$ask\r\n\r\n")) or do { $name = name(); die "x\n" };
  $stage = "read";
  while (length($reply) < 1500) {
    my $n = sysread(S, my $b, 1500);
    defined($n) or do { $name = name(); die "x\n" };
    last if $n == 0;
    $reply .= $b;
  }
  $stage = "done";
};
print "hex ", unpack("H*", substr($reply, 0, 1500)), "\n", "met $stage $name\n";
'

bashing='exec 3<>"/dev/tcp/$1/$2" || exit 1; echo open >&2; printf "%s\r\n\r\n" "$4" >&3; IFS= read -r -d "" -t "$3" all <&3; printf %s "$all"'

cr=$(printf '\r')
path() { p=${1#GET }; echo "${p%% *}"; }

# dial HOST PORT SECONDS LINE becomes the tool, which can then be ended.
dial() {
  ask=$4
  case $tool_name in
  python3) set -- python3 -c "$python" "$@" ;;
  perl) set -- perl -e "$perl" "$@" ;;
  bash) set -- bash --norc -c "$bashing" bash "$@" ;;
  socat) set -- socat -d -d -t "$3" -T "$3" - "TCP4:$1:$2,connect-timeout=$3" ;;
  busybox) set -- busybox nc -w "$3" "$1" "$2" ;;
  curl) set -- curl -q -sS -v -g -i --http1.0 --noproxy '*' --max-time "$3" "http://$1:$2$(path "$4")" ;;
  wget) set -- wget -O - -t 1 -T "$3" "http://$1:$2$(path "$4")" ;;
  *) set -- "$tool_name" $flags -w "$3" "$1" "$2" ;;
  esac
  exec "$@" <<ASK
$ask$cr
$cr
ASK
}

# bounded ends a tool that goes on for longer than it was given. The dog holds none of its streams: who reads them would wait for it.
bounded() {
  limit=$1; shift
  "$@" & tool=$!
  { sleep "$limit"; kill "$tool"; } >/dev/null 2>&1 & dog=$!
  wait "$tool" 2>/dev/null; code=$?
  kill "$dog" 2>/dev/null
  return "$code"
}

# hexed runs a tool and prints what it read as a line of hex, beside its own complaints and how it ended.
hexed() {
  { bounded "$@"; echo "rc $?" >&2; } | { h=$(od -An -v -tx1 -N 1500 | tr -d ' \n'); printf '\nhex %s\n' "$h"; }
}

# complaint prints what a tool says of the connect that failed, WORDS HOST PORT. Each form is one tool's own. What a shell or a loader says of
# a tool that it could not start has none of them, though its words may be the same.
complaint() {
  printf '%s\n' "$1" | tr -d '\r' | sed -n \
    -e "s/^.*connect to $2 port $3[^:]* failed: //p" \
    -e "s/^.*mmediate connect fail for $2: //p" \
    -e "s/^.*\\[$2\\] $3 ([^)]*) : //p" \
    -e "s/^.*can't connect to remote host ($2): //p" \
    -e "s/^Ncat: //p" \
    -e "s/^bash: connect: //p" \
    -e "s/^.* E connect(.*$2:$3, [0-9]*): //p" \
    -e "s/^Connecting to $2:$3\\.\\.\\. failed: //p"
}

# errno reads the kernel's error out of a complaint.
errno() {
  case $1 in
  *[Rr]efused*) echo ECONNREFUSED ;;
  *ermission\ denied*) echo EACCES ;;
  *not\ permitted*) echo EPERM ;;
  *etwork\ is\ unreachable* | *etwork\ unreachable*) echo ENETUNREACH ;;
  *o\ route\ to\ host* | *ost\ is\ unreachable*) echo EHOSTUNREACH ;;
  *annot\ assign\ requested\ address*) echo EADDRNOTAVAIL ;;
  *) echo - ;;
  esac
}

# met prints how far a tool got and the error it met, by WORDS HOST PORT HEX BUDGET TOOK. What it says nothing of was not done.
met() {
  code=$(printf '%s\n' "$1" | sed -n 's/^rc //p')
  late=
  [ "$code" = 143 ] || [ "$6" -gt "$5" ] && late=late
  case $code in
  126 | 127) echo "unfinished -"; return ;; # it did not run
  esac
  [ -n "$4" ] && { echo "done -"; return; }
  [ "$code" -gt 128 ] && [ "$code" != 143 ] && { echo "unfinished -"; return; } # something ended it
  name=$(errno "$(complaint "$1" "$2" "$3")")
  [ "$name" = - ] || { echo "connect $name"; return; }
  case $1 in
  *reset\ by\ peer*) echo "read ECONNRESET" ;;
  *succeeded\!* | *\ open* | open* | *Connected\ to* | *connected.* | *successfully\ connected*) [ -n "$late" ] && echo "read -" || echo "done -" ;;
  *imed\ out* | *imeout*) echo "connect -" ;;
  *rc\ 0*) echo "done -" ;;
  *) [ -n "$late" ] && echo "connect -" || echo "unfinished -" ;;
  esac
}

# try HOST PORT SECONDS LINE dials with tool_name and sets outcome ("STAGE ERRNO"), hex and took, in seconds.
try() {
  began=$(now)
  case $tool_name in
  python3 | perl)
    words=$(bounded $(($3 + 1)) dial "$@" 2>/dev/null)
    outcome=$(printf '%s\n' "$words" | sed -n 's/^met //p')
    [ -n "$outcome" ] || outcome="unfinished -"
    ;;
  *) words=$(hexed $(($3 + 1)) dial "$@" 2>&1) ;;
  esac
  took=$(($(now) - began))
  # Nothing takes less than no time, nor longer than it is given and a little: a clock that says so was set meanwhile.
  [ "$took" -ge 0 ] && { [ -n "$steady" ] || [ "$took" -le $(($3 + 3)) ]; } || took=0
  hex=$(printf '%s\n' "$words" | sed -n 's/^hex //p')
  case $tool_name in
  python3 | perl) ;;
  *) outcome=$(met "$(printf '%s\n' "$words" | sed '/^hex /d')" "$1" "$2" "$hex" "$3" "$took") ;;
  esac
}

# told NUMBER NONCE NONCE-IN-HEX prints what try met, and keeps of it what a later attempt may hang on.
told() {
  end=other
  case $outcome in
  "connect -") end=filtered ;;
  "connect ETIMEDOUT") end=filtered ;;
  esac
  case $hex in
  *"$3"*) end=reached ;;
  esac
  eval "end_$1=$end"
  say "result $1 $2 $outcome $((took * 1000)) ${hex:--}"
}

# there reports whether a tool is there and is what its name says.
there() {
  case $1 in
  busybox) have busybox && busybox nc --help 2>&1 | grep -q BusyBox ;;
  *) have "$1" ;;
  esac
}

# flavoured sets what an nc is called with. None asks for a name of the address.
flavoured() {
  flags=
  case $1 in
  ncat) flags="-n -v" ;;
  nc*) "$1" -h 2>&1 | grep -q BusyBox || flags="-n -v" ;;
  esac
}

# prove NUMBER NONCE HOST PORT SECONDS LINE NONCE-IN-HEX takes the first tool that brings an answer with the nonce back. A tool that
# cannot is taken for nothing: what it met elsewhere would be its own failure.
prove() {
  for wait in 0 1; do
    sleep "$wait"
    for tool_name in $tools; do
      there "$tool_name" || continue
      [ "$(now)" -lt "$until" ] || break
      flavoured "$tool_name"
      try "$3" "$4" "$5" "$6"
      case $hex in
      *"$7"*)
        fact tool "$tool_name"
        told "$1" "$2" "$7"
        return
        ;;
      esac
      fact tried "$tool_name $outcome"
    done
  done
  tool_name=none
  fact tool none
  say "result $1 $2 unfinished - 0 -"
}

# wanted AFTER WHEN reports whether an attempt is to be made that hangs on another.
wanted() {
  [ -n "$1" ] || return 0
  eval "was=\${end_$1-}"
  case $2:$was in
  filtered:filtered | not-reachable:other | not-reachable:filtered | not-reachable:) return 0 ;;
  esac
  return 1
}

# attempt NUMBER NONCE HOST PORT SECONDS LINE NONCE-IN-HEX AFTER WHEN
attempt() {
  if ! wanted "$8" "$9"; then
    eval "end_$1=skipped"
    say "result $1 $2 skipped - 0 -"
  elif [ "$tool_name" = none ] || [ "$(now)" -ge "$until" ]; then
    say "result $1 $2 unfinished - 0 -"
  else
    try "$3" "$4" "$5" "$6"
    told "$1" "$2" "$7"
  fi
}

tools="python3 perl bash socat nc.openbsd nc.traditional ncat busybox nc curl wget"
tool_name=none
fact uid "$(id -u 2>/dev/null)"
fact kernel "$(uname -r 2>/dev/null)"
fact hostname "$(uname -n 2>/dev/null)"
fact boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
