//go:build linux

package sim

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A window is a terminal's size, in characters.
type window struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// defaultWindow is the size where stdin of the command line is no terminal.
var defaultWindow = window{Rows: 24, Columns: 80}

// endOfInput is VEOF of a new terminal: to a guest's terminal the end of stdin is a character.
const endOfInput = "\x04"

// A keyboard is the host's side of a guest's terminal: the caller's own where stdin is one.
type keyboard struct {
	stdin io.Reader
	file  *os.File // nil = stdin is no terminal
}

func keyboardOf(stdin io.Reader) keyboard {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return keyboard{stdin: stdin}
	}
	return keyboard{stdin: stdin, file: f}
}

func (k keyboard) size() window {
	if k.file == nil {
		return defaultWindow
	}
	columns, rows, err := term.GetSize(int(k.file.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return defaultWindow
	}
	return window{Rows: uint16(rows), Columns: uint16(columns)}
}

// attach forwards keys and window sizes to the master of a guest's terminal. The caller's terminal is raw until the returned
// function puts it back.
func (k keyboard) attach(master *os.File) (restore func()) {
	restore = func() {}
	if k.file != nil {
		fd := int(k.file.Fd())
		if old, err := term.MakeRaw(fd); err == nil {
			restore = func() { _ = term.Restore(fd, old) }
		}
		resized := make(chan os.Signal, 1)
		signal.Notify(resized, syscall.SIGWINCH)
		go func() {
			for range resized {
				size := k.size()
				_ = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
			}
		}()
	}
	go func() {
		_, _ = io.Copy(master, k.stdin)
		_, _ = io.WriteString(master, endOfInput)
	}()
	return restore
}
