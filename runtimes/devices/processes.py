"""Shell scripts for processes that outlive the connection, named by pid and start time together.

They run on toybox, BusyBox and desktop shells alike; ``Device`` gives them their arguments and reads their answers.
"""

from __future__ import annotations

# The start time is field 22 of /proc/PID/stat, the 20th behind the name, which may itself hold spaces and brackets.
START_OF = (
    'start_of() { if [ -d /proc/self ]; then read -r _l <"/proc/$1/stat" || return 0; _l=${_l##*) }; set -- $_l; '
    '[ "$1" = Z ] || { shift 19; echo "$1"; }; '
    'else ps -o lstart= -p "$1" | tr -s " " _; fi 2>/dev/null; }; '
)

# Runs inside the shell that is to become the process; $0 is the log. A lock that is gone ends nothing: hence the test.
LOG_SELF = START_OF + 'if [ -e "$0" ]; then echo "$$ $(start_of $$)" >>"$0"; fi 2>/dev/null; '

# $1 log, $2 file for the exit code or nothing, $3 file of tracked processes or nothing, then the command. Prints
# "spawned PID START".
SPAWN = (
    START_OF
    + """
log=$1; rcfile=$2; plog=$3; shift 3
how=; for word in setsid nohup; do command -v $word >/dev/null 2>&1 && { how=$word; break; }; done
pidfile=$log.pid; rm -f "$pidfile"; : >"$log" || exit 1
$how sh -c '
  pidfile=$1; rcfile=$2; shift 2
  echo $$ >"$pidfile.new"; mv "$pidfile.new" "$pidfile"
  if [ -n "$rcfile" ]; then "$@"; rc=$?; echo $rc >"$rcfile.new"; mv "$rcfile.new" "$rcfile"; exit $rc; fi
  exec "$@"' sh "$pidfile" "$rcfile" "$@" </dev/null >>"$log" 2>&1 &
tries=0
while [ ! -s "$pidfile" ] && [ $tries -lt 100 ]; do tries=$((tries+1)); sleep 0.05 2>/dev/null || sleep 1; done
read -r pid <"$pidfile" || exit 1
rm -f "$pidfile"; start=$(start_of "$pid")
[ -e "$plog" ] && echo "$pid $start" >>"$plog"
echo "spawned $pid ${start:-gone}"
"""
)

# $1 pid, $2 its start time; prints "alive" when that very process runs.
ALIVE = START_OF + '[ "$(start_of "$1")" = "$2" ] && echo alive'

# $1 and $2 the halves of a word that stands in the command line of the shell to be ended, so that this one has it not.
END_NAMED = """
for dir in /proc/[0-9]*; do
  case $(tr '\\0' ' ' <"$dir/cmdline" 2>/dev/null) in
    *"$1$2"*) kill -9 "-${dir#/proc/}" 2>/dev/null || kill -9 "${dir#/proc/}" ;;
  esac
done 2>/dev/null; true
"""

GONE = 3  # the exit code of SIGNAL when that process is no more

# $1 pid, $2 its start time, $3 signal. A pid whose group is not its own must not take the group along: that would be
# the daemon's.
SIGNAL = (
    START_OF
    + f'[ "$(start_of "$1")" = "$2" ] || exit {GONE}; '
    + 'if kill -0 "-$1" 2>/dev/null; then kill "-$3" "-$1"; else kill "-$3" "$1"; fi'
)
