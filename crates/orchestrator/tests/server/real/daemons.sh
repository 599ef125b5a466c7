# Starts processes that want to outlive their job, all with the mark $1 among their arguments.
loop='trap "" TERM INT HUP; while :; do /bin/sleep 1; done'
# In the same group.
sh -c "$loop" "$1" &
# In a session of its own.
setsid sh -c "$loop" "$1" < /dev/null > /dev/null 2>&1 &
# A daemon after two forks, without any environment.
setsid -f env -i /bin/sh -c "$loop" "$1" < /dev/null > /dev/null 2>&1
# The same by hand: its parents are gone.
(setsid sh -c "(sh -c '$loop' $1 &) &" < /dev/null > /dev/null 2>&1 &)
echo ready
wait
