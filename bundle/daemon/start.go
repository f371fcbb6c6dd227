package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"bottle.internal/bundle/internal/wire"
)

// startDetached is `bottle-bundle start --settings FILE --log FILE`: it leaves a supervisor running, with the KEY=VALUE lines of FILE
// as its environment, and returns when that has said whether its daemons answered. It is what a container engine does for a
// bundle that is no container: the supervisor outlives the command that started it, and its output is a file. The settings
// are a file because an argument would show the secret to every process that can see a command line.
func startDetached(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("start")
	settings := flags.String("settings", "", "file of KEY=VALUE lines")
	log := flags.String("log", "", "file for the output")
	if err := noArgs(flags, args); err != nil {
		return err
	}
	if *settings == "" || *log == "" {
		return usagef("start needs --settings and --log")
	}
	env, err := os.ReadFile(*settings)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	ended, err := detach(strings.FieldsFunc(string(env), func(r rune) bool { return r == '\n' }), *log)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin+time.Second)
	defer cancel()
	line, err := awaitUp(ctx, *log, ended)
	if err != nil {
		text, _ := os.ReadFile(*log)
		return fmt.Errorf("start: %w; its log says:\n%s", err, bytes.TrimSpace(text))
	}
	_, err = fmt.Fprintln(stdout, line)
	return err
}

// detach starts this program as PID 1 would be started, in a session of its own, holding nothing of ours open. The channel
// gives how it ended, if it does while we look.
func detach(env []string, log string) (<-chan error, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := &exec.Cmd{Path: exe, Args: os.Args[:1], Env: append([]string{}, env...), Dir: "/", Stdout: out, Stderr: out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("it ended")
		}
		ended <- err
	}()
	return ended, nil
}

// awaitUp waits for the line of log that says how the daemons came up.
func awaitUp(ctx context.Context, log string, ended <-chan error) (string, error) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		line, err := upLine(log)
		if line != "" || err != nil {
			return line, err
		}
		select {
		case err := <-ended:
			return "", fmt.Errorf("the supervisor: %w", err)
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for the daemons: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// upLine is the line, "" while there is none. That a daemon did not come up is an error.
func upLine(log string) (string, error) {
	f, err := os.Open(log)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, wire.LineNotReady):
			return "", errors.New(line)
		case strings.HasPrefix(line, wire.LineReady), line == wire.LineNone:
			return line, nil
		}
	}
	return "", nil
}
