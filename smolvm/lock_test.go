package smolvm

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// A lock's file is removed while others wait for it: who has opened one that is gone must not think it has the lock.
func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders, taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for taken.Load() < 2000 {
				f, err := lockNow(path)
				if err != nil {
					t.Error(err)
					return
				}
				if f == nil {
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d have the lock", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				taken.Add(1)
				_ = os.Remove(path)
				_ = f.Close()
			}
		})
	}
	wg.Wait()
}

func TestLockThatCannotBe(t *testing.T) {
	file := hostFile(t, filepath.Join(t.TempDir(), "f"), "", 0o600)
	t.Setenv("XDG_CACHE_HOME", file) // a file in the place of the directory
	t.Setenv("HOME", file)
	if _, err := takeTurn(t.Context(), "start", "k"); err == nil {
		t.Error("no error")
	}
	if _, err := lockNow(filepath.Join(file, "lock")); err == nil {
		t.Error("no error")
	}
}
