// Command guest is all a test's image holds: a static program of a few small commands, and a shell that knows nothing else.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == "sh" && len(args) == 2 && args[0] == "-c" {
		for line := range strings.SplitSeq(args[1], ";") {
			if err := run(strings.Fields(line)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		return
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("guest: no command")
	}
	commands := map[string]func([]string) error{
		"env": env, "id": id, "pwd": pwd, "cat": cat, "write": write, "stat": stat, "ls": ls, "rm": rm, "mkdir": mkdir, "nofile": nofile,
		"kill": kill, "sleep": sleep, "exit": exit, "echo": echo, "background": background, "link": link, "dial": dial,
	}
	c, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("guest: %s: no such command", args[0])
	}
	return c(args[1:])
}

func env(args []string) error {
	for _, name := range args {
		fmt.Println(os.Getenv(name))
	}
	return nil
}

func id([]string) error {
	groups, err := os.Getgroups()
	host, _ := os.Hostname()
	fmt.Println(os.Getuid(), os.Getgid(), groups, host)
	return err
}

func pwd([]string) error {
	dir, err := os.Getwd()
	fmt.Println(dir)
	return err
}

func cat(args []string) error {
	for _, name := range args {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		os.Stdout.Write(b)
	}
	return nil
}

func write(args []string) error {
	return os.WriteFile(args[0], []byte(strings.Join(args[1:], " ")+"\n"), 0o644)
}

func stat(args []string) error {
	for _, name := range args {
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		target, _ := os.Readlink(name)
		fmt.Printf("%s %o %d:%d %d %s\n", name, st.Mode, st.Uid, st.Gid, st.Nlink, target)
	}
	return nil
}

func ls(args []string) error {
	for _, dir := range args {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Println(e.Name())
		}
	}
	return nil
}

func rm(args []string) error { return os.RemoveAll(args[0]) }

func mkdir(args []string) error { return os.MkdirAll(args[0], 0o755) }

func link(args []string) error { return os.Symlink(args[0], args[1]) }

func nofile([]string) error {
	b, err := os.ReadFile("/proc/self/limits")
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "Max open files") {
			fmt.Println(strings.Fields(line)[3], strings.Fields(line)[4])
		}
	}
	return err
}

func kill(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.Signal(n))
}

func sleep(args []string) error {
	d, err := time.ParseDuration(args[0])
	time.Sleep(d)
	return err
}

func exit(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	os.Exit(n)
	return nil
}

func echo(args []string) error {
	fmt.Println(strings.Join(args, " "))
	return nil
}

func dial(args []string) error {
	c, err := net.DialTimeout("tcp", args[0], 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	return c.Close()
}

// background starts itself again, in the same session and without the streams, and prints the new process's number.
func background(args []string) error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p, err := os.StartProcess("/proc/self/exe", append([]string{"guest"}, args...), &os.ProcAttr{Files: []*os.File{null, null, null}})
	if err != nil {
		return err
	}
	fmt.Println(p.Pid)
	return nil
}
