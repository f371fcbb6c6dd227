package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// childStart is what the start of a process may take on a loaded host.
const childStart = 2 * time.Second

// dialApart makes the attempt in its plain way in a child of the agent's that has a network namespace of its own, and, where that
// takes privileges that the agent lacks, a user namespace as well: a thread cannot leave the user namespace of its process.
func dialApart(a Attempt, r *Result, start time.Time) error {
	r.Stage = StagePrepare
	one := a
	one.ID, one.Method, one.Phase, one.DelayMS, one.After, one.When = "apart", "", 0, 0, "", ""
	req := Request{Schema: Schema, Run: echo.NewNonce(), DeadlineMS: a.BudgetMS + int(lastWord.Milliseconds()), Attempts: []Attempt{one}}
	text, err := json.Marshal(req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.Background(), start.Add(a.patience()-overrun/2))
	defer cancel()
	out, err := child(ctx, text, unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		out, err = child(ctx, text, unix.CLONE_NEWNET|unix.CLONE_NEWUSER)
	}
	if errors.Is(err, unix.ENOENT) {
		return errors.New("agent: there is no /proc/self/exe") // a fault of the prober's, which no errno is to hide
	}
	if err != nil {
		return err
	}
	ans, err := req.Decode(out)
	if err != nil {
		return err
	}
	theirs, ok := ans.Results[one.ID]
	if !ok {
		return errors.New("agent: " + ans.Faults[one.ID])
	}
	r.Stage, r.ConnectUS, r.Reply = theirs.Stage, theirs.ConnectUS, theirs.Reply
	r.Errno = theirs.Errno
	return nil
}

func child(ctx context.Context, request []byte, flags uintptr) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", apartVerb)
	cmd.Env = []string{} // the agent's own request may be in it
	cmd.Stdin = bytes.NewReader(request)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: unix.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return cmd.Output()
}

// runApart makes the attempts of a request one after the other and checks nothing.
func runApart(r Request, _ time.Time) (Response, error) {
	resp := Response{Schema: Schema, Run: r.Run}
	for _, a := range r.Attempts {
		resp.Results = append(resp.Results, dial(a, time.Now()))
	}
	return resp, nil
}
