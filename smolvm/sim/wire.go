//go:build linux

package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The messages between the command line and a machine's pid 1, and between the processes that boot it: a length of four
// bytes, big endian, that carries the descriptors, and that many bytes of JSON.

// maxMessage bounds one message. Linux takes 2 MiB of argv and environment, and JSON may need six bytes for one.
const maxMessage = 16 << 20

// maxDescriptors is what one message may carry.
const maxDescriptors = 32

type operation string

const (
	opPing     operation = "ping"
	opExec     operation = "exec"
	opPut      operation = "put"
	opTake     operation = "take"
	opShutdown operation = "shutdown"
)

// A request opens a connection to pid 1; only the fields of its operation are set.
type request struct {
	Op       operation     `json:"op"`
	Argv     []string      `json:"argv,omitempty"`
	Env      []string      `json:"env,omitempty"`
	Dir      string        `json:"dir,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`  // 0 = none
	Stdin    bool          `json:"stdin,omitempty"`    // forward it instead of /dev/null
	TTY      *window       `json:"tty,omitempty"`      // a terminal of this size for all three streams; nil = pipes
	Detach   bool          `json:"detach,omitempty"`   // reply with the PID and leave the command alone
	Survives bool          `json:"survives,omitempty"` // let it run on when the client hangs up

	Contained bool   `json:"contained,omitempty"` // the guest is a container of an image
	User      string `json:"user,omitempty"`      // of the image, in /etc/passwd of the guest; "" = root
	Alone     bool   `json:"alone,omitempty"`     // in a container of its own: what it started ends with it
	Stream    bool   `json:"-"`                   // of the command line

	Path string `json:"path,omitempty"` // of opPut and opTake, in the guest
	Mode uint32 `json:"mode,omitempty"` // of opPut
	UID  int    `json:"uid,omitempty"`
	GID  int    `json:"gid,omitempty"`
}

// A reply answers a request. An exec has two: one with Started and the pipes' host ends (stdin's first where it was asked
// for, then stdout's and stderr's; of a terminal its master alone), and the last. A detached one has one.
type reply struct {
	Error    string `json:"error,omitempty"`   // smolvm's words for what the agent could not do
	Refused  string `json:"refused,omitempty"` // crun's
	Started  bool   `json:"started,omitempty"`
	PID      int    `json:"pid,omitempty"` // of a detached command, in the guest
	Exit     int    `json:"exit,omitempty"`
	Signal   int    `json:"signal,omitempty"`
	TimedOut bool   `json:"timed_out,omitempty"`
	Size     int64  `json:"size,omitempty"` // of opPut and opTake, bytes
}

// send writes one message. The files stay the caller's.
func send(conn *net.UnixConn, v any, files ...*os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	var rights []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := conn.WriteMsgUnix(head, rights, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err := conn.Write(body); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive reads one message into v and returns the files that came with it, which become the caller's.
func receive(conn *net.UnixConn, v any) ([]*os.File, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, oobn, _, _, err := conn.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if n == 0 {
		return nil, fmt.Errorf("receive: %w", io.EOF)
	}
	files, err := rightsOf(oob[:oobn])
	if err == nil {
		err = receiveBody(conn, head, n, v)
	}
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("receive: %w", err)
	}
	return files, nil
}

func receiveBody(conn *net.UnixConn, head []byte, n int, v any) error {
	if _, err := io.ReadFull(conn, head[n:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxMessage {
		return fmt.Errorf("a message of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func rightsOf(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// channel makes a connected pair: the local end, and the one to hand to a child.
func channel() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	local, err := connOf(os.NewFile(uintptr(fds[0]), "channel"))
	if err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	return local, os.NewFile(uintptr(fds[1]), "channel"), nil
}

// connOf takes a connected unix socket over; f is closed.
func connOf(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("channel: a %T is no unix socket", c)
	}
	return conn, nil
}

// listenerOf listens at what f is, and closes f. A bare descriptor's close would leave f to close that number once more, whatever it has
// become by then.
func listenerOf(f *os.File) (net.Listener, error) {
	defer f.Close()
	return net.FileListener(f)
}
