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

// apart makes the attempt in its plain way in a child of the agent's that has a network namespace of its own, and, where that takes
// privileges the agent lacks, a user namespace as well: a thread cannot leave the user namespace of its process.
func apart(a Attempt, start time.Time) (Result, error) {
	one := a
	one.ID, one.Method, one.Phase, one.DelayMS, one.After, one.When = "apart", "", 0, 0, "", ""
	req := Request{Schema: Schema, Run: echo.NewNonce(), DeadlineMS: a.BudgetMS + int(lastWord.Milliseconds()), Attempts: []Attempt{one}, Apart: true}
	text, err := json.Marshal(req)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithDeadline(context.Background(), start.Add(a.Budget()))
	defer cancel()
	out, err := child(ctx, text, unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		out, err = child(ctx, text, unix.CLONE_NEWNET|unix.CLONE_NEWUSER)
	}
	if err != nil {
		return Result{}, err
	}
	ans, err := req.Decode(out)
	if err != nil {
		return Result{}, unix.EIO
	}
	r, ok := ans.Results[one.ID]
	if !ok {
		return Result{}, unix.EIO
	}
	return r, nil
}

func child(ctx context.Context, request []byte, flags uintptr) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Stdin = bytes.NewReader(request)
	cmd.Env = os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: unix.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.UidMappings = own
		own = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = own
	}
	return cmd.Output()
}
