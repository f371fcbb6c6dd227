# What follows is POSIX sh and asks for grep, od, sed, sleep and tr. It takes the first of the tools below that is there and works, dials with it one
# attempt after the other, and prints a line for each. LC_ALL: what tools say is read.
LC_ALL=C; export LC_ALL
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
umask 077

have() { command -v "$1" >/dev/null 2>&1; }
now() { date +%s 2>/dev/null || echo 0; }

say() { printf 'bottle-shell %s %s\n' "$run" "$*"; }
fact() { say "$1 $(printf '%s' "$2" | tr -cd ' -~')"; }

# pick prints the first tool that is there and works.
pick() {
  have python3 && python3 -c 'import socket' 2>/dev/null && { echo python3; return; }
  have perl && perl -MSocket -MErrno -e 1 2>/dev/null && { echo perl; return; }
  have nc && { nc -h 2>&1 | grep -q BusyBox && echo busybox || echo nc; return; }
  have busybox && busybox nc --help 2>&1 | grep -q BusyBox && { echo busybox; return; }
  have bash && bash -c 'true </dev/null' 2>/dev/null && { echo bash; return; }
  have curl && { echo curl; return; }
  have wget && { echo wget; return; }
  echo none
}

python='
import errno, socket, sys, time
host, port, budget, ask = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4].encode()
stage, name, reply, end = "socket", "-", b"", time.time() + budget
try:
    s = socket.socket()
    def left(): s.settimeout(max(0.001, end - time.time()))
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

# by_TOOL HOST PORT SECONDS LINE becomes the tool, which can then be ended.
cr=$(printf '\r')
path() { p=${1#GET }; echo "${p%% *}"; }
by_nc() {
  exec nc -v -w "$3" "$1" "$2" <<ASK
$4$cr
$cr
ASK
}
by_busybox() {
  exec $busy -w "$3" "$1" "$2" <<ASK
$4$cr
$cr
ASK
}
by_bash() { exec bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 1; echo open >&2; printf "%s\r\n\r\n" "$4" >&3; IFS= read -r -d "" -t "$3" all <&3; printf %s "$all"' bash "$@"; }
by_curl() { exec curl -sS -v -g -i --http1.0 --noproxy '*' --max-time "$3" "http://$1:$2$(path "$4")"; }
by_wget() { exec wget -O - -t 1 -T "$3" "http://$1:$2$(path "$4")"; }

# errno reads the kernel's error out of a tool's words.
errno() {
  case $1 in
  *[Rr]efused*) echo ECONNREFUSED ;;
  *ermission\ denied*) echo EACCES ;;
  *not\ permitted*) echo EPERM ;;
  *etwork\ is\ unreachable* | *etwork\ unreachable*) echo ENETUNREACH ;;
  *o\ route\ to\ host* | *ost\ is\ unreachable*) echo EHOSTUNREACH ;;
  *annot\ assign\ requested\ address*) echo EADDRNOTAVAIL ;;
  *reset\ by\ peer*) echo ECONNRESET ;;
  *) echo - ;;
  esac
}

# stage reads how far a tool got out of its words, its error and its reply.
stage() {
  case $2 in
  ECONNRESET) echo read; return ;;
  E*) echo connect; return ;;
  esac
  [ -n "$3" ] && { echo done; return; }
  case $1 in
  *succeeded* | *open* | *Connected\ to* | *connected.*) [ "$4" = late ] && echo read || echo done ;;
  *rc\ 0*) echo done ;;
  *imed\ out* | *imeout*) echo connect ;;
  *) [ "$4" = late ] && echo connect || echo unfinished ;;
  esac
}

# attempt NUMBER NONCE HOST PORT SECONDS LINE
attempt() {
  began=$(now)
  if [ "$began" -ge "$until" ] || [ "$tool_name" = none ]; then
    say "result $1 $2 unfinished - 0 -"
    return
  fi
  case $tool_name in
  python3) words=$(python3 -c "$python" "$3" "$4" "$5" "$6" 2>/dev/null) ;;
  perl) words=$(perl -e "$perl" "$3" "$4" "$5" "$6" 2>/dev/null) ;;
  *) words=$(hexed $(($5 + 1)) "by_$tool_name" "$3" "$4" "$5" "$6" 2>&1) ;;
  esac
  ended=$(now)
  hex=$(printf '%s\n' "$words" | sed -n 's/^hex //p')
  met=$(printf '%s\n' "$words" | sed -n 's/^met //p')
  late=$([ $((ended - began)) -ge "$5" ] && echo late)
  if [ -z "$met" ]; then
    rest=$(printf '%s\n' "$words" | sed '/^hex /d')
    name=$(errno "$rest")
    [ -n "$hex" ] && name=-
    met="$(stage "$rest" "$name" "$hex" "$late") $name"
  fi
  say "result $1 $2 $met $(((ended - began) * 1000)) ${hex:--}"
}

tool_name=$(pick)
busy=nc; have busybox && busy='busybox nc'
fact tool "$tool_name"
fact uid "$(id -u 2>/dev/null)"
fact kernel "$(uname -r 2>/dev/null)"
fact hostname "$(uname -n 2>/dev/null)"
fact boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
