//go:build linux && (amd64 || arm64)

package waiter

import "syscall"

// The waiter runs before Go's runtime does, and instead of it: nothing in this file or in memory_linux.go may allocate, grow the
// stack, or panic. Every function is nosplit; every address is a uintptr into the process' arguments or into scratch.

// start is the entry point. It calls report for the waiter's command lines and leaves others to the runtime.
func start()

// spawn starts the program at the first of paths, C strings whose list ends with 0, that can be executed, and returns once the
// child has executed it or ended. errs[i] is the errno of paths[i] where that failed.
//
//go:noescape
func spawn(paths, argv, env, errs uintptr) (pid uintptr)

var (
	_ = start  // for the linker's -E
	_ = report // start calls it
)

// report is the waiter, from the stack that the kernel made: argc, argv, 0, environment, 0. It does not return.
//
//go:nosplit
func report(stack uintptr) {
	argv := stack + word
	env := argv + word*(load(stack)+1)
	nonce, command := load(argv+2*word), argv+3*word
	program := load(command)
	candidates(program, env)
	status, ran := run(command, env)
	if path := firstWith(syscall.ENOEXEC); !ran && path != 0 {
		// As execvp does with a script that names no interpreter. The nonce's place is free by now.
		store(argv+2*word, text(shell))
		store(argv+3*word, path)
		only(text(shell))
		status, ran = run(argv+2*word, env)
	}
	code := codeOf(status)
	if !ran {
		code = complain(program)
	}
	mark(nonce, code)
	exit(code)
}

// run executes argv and waits for its end; false when no candidate could be executed.
//
//go:nosplit
func run(argv, env uintptr) (status uintptr, ran bool) {
	pid := spawn(pathsAt(), argv, env, errsAt())
	if int(pid) < 0 {
		return 0, false
	}
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, pid, statusAt(), 0, 0, 0, 0)
		if errno != syscall.EINTR {
			break
		}
	}
	for i := uintptr(0); load(pathsAt()+i) != 0; i += word {
		if load(errsAt()+i) == 0 {
			return load(statusAt()), true
		}
	}
	return 0, false
}

// codeOf is a wait status as a shell's exit code.
//
//go:nosplit
func codeOf(status uintptr) uintptr {
	if signal := status & 0x7f; signal != 0 {
		return 128 + signal
	}
	return status >> 8 & 0xff
}

// complain says that the program was not run, and returns the code for it.
//
//go:nosplit
func complain(program uintptr) (code uintptr) {
	code = notFound
	for i := uintptr(0); load(pathsAt()+i) != 0; i += word {
		e := load(errsAt() + i)
		if e != uintptr(syscall.ENOENT) && e != uintptr(syscall.ENOTDIR) {
			code = cannotRun
		}
	}
	line := lineAt()
	to := appendText(line, program)
	if code == notFound {
		to = appendText(to, text(missing))
	} else {
		to = appendText(to, text(refused))
	}
	write(line, to-line)
	return code
}

// mark prints the mark in one write: nothing of another process gets between.
//
//go:nosplit
func mark(nonce, code uintptr) {
	line := lineAt()
	to := appendByte(line, '\n')
	to = appendText(to, nonce)
	to = appendByte(to, ':')
	if code >= 100 {
		to = appendByte(to, byte('0'+code/100))
	}
	if code >= 10 {
		to = appendByte(to, byte('0'+code/10%10))
	}
	to = appendByte(to, byte('0'+code%10))
	to = appendByte(to, '\n')
	write(line, to-line)
}

//go:nosplit
func write(from, n uintptr) {
	for n > 0 {
		done, _, errno := syscall.RawSyscall6(syscall.SYS_WRITE, 2, from, n, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return // nobody reads it
		}
		from, n = from+done, n-done
	}
}

//go:nosplit
func exit(code uintptr) {
	for {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0)
	}
}
