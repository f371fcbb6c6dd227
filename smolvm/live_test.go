package smolvm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
		// The stream of a guest's tar, kept beside the fake by the test.
		"tar": func(c smolvmtest.Call) smolvmtest.Reply {
			f, err := os.Open(c.State + "/archive.tar")
			if err != nil {
				return failing(err.Error())
			}
			_, err = io.Copy(os.Stdout, f)
			return smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: exitOf(err)}}
		},
		"tar without end": func(c smolvmtest.Call) smolvmtest.Reply {
			f, err := os.Open(c.State + "/archive.tar")
			for err == nil {
				_, err = io.CopyN(os.Stdout, f, 1<<20)
				if errors.Is(err, io.EOF) {
					_, err = os.Stdout.Write(make([]byte, 1<<16))
				}
			}
			return failing(err.Error())
		},
	}
}

func exitOf(err error) int {
	if err != nil {
		return 2
	}
	return 0
}
