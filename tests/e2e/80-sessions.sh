# A lasting session as a person at a terminal has it: open, type, detach, come back, end. The terminal is tmux's, outside.
if have tmux; then
  screen() { as_user "$work/code" tmux -S "$work/home/outer" "$@"; }
  see() { # TEXT: within 20 s
    local i
    for i in $(seq 100); do
      screen capture-pane -p -t outer 2>/dev/null | grep -qF -- "$1" && return 0
      sleep 0.2
    done
    screen capture-pane -p -t outer; return 1
  }
  state() { run ps --json | python3 -c "import json,sys; print(next((str(s['status']) for s in json.load(sys.stdin) if s['name'] == '$1'), 'none'))"; }
  is() { local i; for i in $(seq 50); do [ "$(state "$1")" = "$2" ] && return 0; sleep 0.2; done; echo "state: $(state "$1")"; return 1; }
  check 'a terminal outside' screen new-session -d -s outer -x 100 -y 30 "env PS1='outside> ' bash --norc"
  type() { screen send-keys -t outer "$@"; }
  pin="$work/pinfold --quiet"
  type "$pin open --image iteron-sandbox --name run@one -- bash --norc" Enter
  check 'open shows tmux of the sandbox, with the session name' see 'run@one'
  type 'echo in-$((40+2)); tty; pgrep -c tmux' Enter
  check 'what is typed arrives' see 'in-42'
  check 'ps says that it runs' is run@one running
  screen resize-window -t outer -x 120 -y 40
  type "until stty size | grep '1[2]0'; do sleep 0.1; done" Enter
  check 'a new size arrives' see '120'
  # Only now: what is cleared before the multiplexer has drawn its new size is left out by it, and so by the log's text.
  type clear Enter
  type 'echo mark-$((40+3))' Enter
  check 'and the session answers' see 'mark-43'
  type C-b d
  check "tmux's own key says how to detach" see 'detaches'
  type 'C-\'
  check 'detached' see 'outside>'
  check 'the session goes on' is run@one running
  type "clear; $pin attach run@one" Enter
  check 'attached again, and the screen is there' see 'mark-43'
  screen kill-session -t outer
  check 'it survives the terminal' is run@one running
  refuse 'its name is taken' 125 run run --name run@one --image iteron-sandbox -- true
  says 'what the session printed is in its log' in-42 run logs run@one
  refuse 'it cannot be removed while it runs' 2 run rm run@one
  check 'stop ends it' run stop run@one
  check 'rm removes it' run rm run@one
  check 'and it is gone' is run@one none
  # Killed from outside: nothing is left running.
  check 'open without attaching' run open --detach --image iteron-sandbox --name run@two -- sleep 4242
  supervisor=$(python3 -c "import json; print(json.load(open('$work/home/pinfold/data/sandboxes/run@two/state.json'))['supervisor'])")
  check 'kill -9 of the supervisor' kill -9 "$supervisor"
  check 'ps says that it was killed' is run@two killed
  check 'no process is left' sh -c '! pgrep -f "sleep 424[2]"'
  check 'rm clears up' run rm run@two
  screen kill-server 2>/dev/null
else skip sessions 'tmux is not installed'; fi
