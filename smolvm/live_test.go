package smolvm

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

// liveHandlers are replies that do something before they end.
func liveHandlers() map[string]smolvmtest.Handler {
	return map[string]smolvmtest.Handler{
		"talks, then waits": func(smolvmtest.Call) smolvmtest.Reply {
			fmt.Print("hello\n")
			fmt.Fprint(os.Stderr, "password: ")
			return smolvmtest.Reply{Delay: time.Minute}
		},
		"echoes stdin": func(smolvmtest.Call) smolvmtest.Reply {
			text, err := io.ReadAll(os.Stdin)
			return smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: string(text), Stderr: fmt.Sprintf("%v", err), Exit: 7}}
		},
		"leaves its terminal raw": func(smolvmtest.Call) smolvmtest.Reply {
			settings, _ := termios(os.Stdin)
			settings.Lflag &^= syscall.ICANON | syscall.ECHO
			termiosCall(os.Stdin, setTermios, &settings)
			return smolvmtest.Reply{Delay: time.Minute}
		},
		// Its exit code is how many of its kind it has met, itself included.
		"counts itself": func(c smolvmtest.Call) smolvmtest.Reply {
			here, err := os.CreateTemp(c.State, "now-*")
			if err != nil {
				return failing(err.Error())
			}
			time.Sleep(150 * time.Millisecond)
			all, _ := filepath.Glob(filepath.Join(c.State, "now-*"))
			_ = os.Remove(here.Name())
			return smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: len(all)}}
		},
		"counts the upload": func(c smolvmtest.Call) smolvmtest.Reply {
			text, _ := os.ReadFile(filepath.Join(c.State, "calls.jsonl"))
			size := 0
			for dec := json.NewDecoder(bytes.NewReader(text)); ; {
				var call smolvmtest.Call
				if dec.Decode(&call) != nil {
					return smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: fmt.Sprintln(size)}}
				}
				if call.Upload != "" {
					size = len(call.Upload)
				}
			}
		},
		"a tree": func(smolvmtest.Call) smolvmtest.Reply { return printTree(tar.Header{}) },
		"a tree with a link": func(smolvmtest.Call) smolvmtest.Reply {
			return printTree(tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc"})
		},
		"meets nobody":  func(c smolvmtest.Call) smolvmtest.Reply { return meets(c, 300*time.Millisecond, false) },
		"meets another": func(c smolvmtest.Call) smolvmtest.Reply { return meets(c, 30*time.Second, true) },
		"tar":           sendTar, "tar without end": sendTarForEver,
	}
}

// sendTar is the stream of a guest's tar, kept beside the fake by the test.
func sendTar(c smolvmtest.Call) smolvmtest.Reply {
	f, err := os.Open(c.State + "/archive.tar")
	if err != nil {
		return failing(err.Error())
	}
	_, err = io.Copy(os.Stdout, f)
	return smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: exitOf(err)}}
}

func sendTarForEver(c smolvmtest.Call) smolvmtest.Reply {
	f, err := os.Open(c.State + "/archive.tar")
	for err == nil {
		_, err = io.CopyN(os.Stdout, f, 1<<20)
		if errors.Is(err, io.EOF) {
			_, err = os.Stdout.Write(make([]byte, 1<<16))
		}
	}
	return failing(err.Error())
}

// printTree is the tar of the contract's directory, and of more if it has a name.
func printTree(more tar.Header) smolvmtest.Reply {
	w := tar.NewWriter(os.Stdout)
	err := w.WriteHeader(&tar.Header{Name: "./sub/" + strings.Repeat("long", 40), Typeflag: tar.TypeReg, Mode: 0o640, Size: 7})
	if err == nil {
		_, err = io.WriteString(w, "content")
	}
	if err == nil && more.Name != "" {
		err = w.WriteHeader(&more)
	}
	return smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: exitOf(errors.Join(err, w.Close()))}}
}

// meets waits for another of its kind to be there at the same time, and fails where that is not as wanted.
func meets(c smolvmtest.Call, limit time.Duration, want bool) smolvmtest.Reply {
	here, err := os.CreateTemp(c.State, "met-*")
	if err != nil {
		return failing(err.Error())
	}
	if !want {
		defer func() { _ = os.Remove(here.Name()) }() // else the other one still has to see it
	}
	met := false
	for end := time.Now().Add(limit); !met && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		all, _ := filepath.Glob(filepath.Join(c.State, "met-*"))
		met = len(all) > 1
	}
	if met != want {
		return failing(fmt.Sprintf("met another: %t", met))
	}
	return smolvmtest.Reply{}
}

func exitOf(err error) int {
	if err != nil {
		return 2
	}
	return 0
}
