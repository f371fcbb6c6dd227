//go:build linux && (amd64 || arm64)

package waiter

import (
	"syscall"
	"unsafe"
)

const (
	word     = unsafe.Sizeof(uintptr(0))
	maxPaths = 64       // directories of PATH that are looked at
	maxNames = 64 << 10 // bytes of all candidates together
	maxLine  = 8 << 10  // bytes of one message
)

// scratch is all the memory there is.
var scratch struct {
	status uintptr
	paths  [maxPaths + 1]uintptr // C strings, then 0
	errs   [maxPaths + 1]uintptr
	names  [maxNames]byte
	line   [maxLine]byte
}

// Texts end with a 0.
const (
	shell       = "/bin/sh\x00"
	missing     = ": not found\n\x00"
	refused     = ": cannot be run\n\x00"
	pathName    = "PATH=\x00"
	defaultPath = "/bin:/usr/bin\x00" // execvp's, without a PATH
)

//go:nosplit
func text(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }

//go:nosplit
func pathsAt() uintptr { return uintptr(unsafe.Pointer(&scratch.paths)) }

//go:nosplit
func errsAt() uintptr { return uintptr(unsafe.Pointer(&scratch.errs)) }

//go:nosplit
func statusAt() uintptr { return uintptr(unsafe.Pointer(&scratch.status)) }

//go:nosplit
func lineAt() uintptr { return uintptr(unsafe.Pointer(&scratch.line)) }

// pointer is at as a pointer. Neither the kernel's stack nor scratch ever moves.
//
//go:nosplit
func pointer(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

//go:nosplit
func load(at uintptr) uintptr { return *(*uintptr)(pointer(at)) }

//go:nosplit
func store(at, v uintptr) { *(*uintptr)(pointer(at)) = v }

//go:nosplit
func byteAt(at uintptr) byte { return *(*byte)(pointer(at)) }

// appendByte writes b at to and returns what comes after it, within scratch's line or names.
//
//go:nosplit
func appendByte(to uintptr, b byte) uintptr {
	*(*byte)(pointer(to)) = b
	return to + 1
}

// appendText copies a C string, without its end, as far as the line has room for it and a mark's rest.
//
//go:nosplit
func appendText(to, from uintptr) uintptr {
	for byteAt(from) != 0 && to < lineAt()+maxLine-16 {
		to = appendByte(to, byteAt(from))
		from++
	}
	return to
}

// candidates fills scratch.paths with where execvp would look for program.
//
//go:nosplit
func candidates(program, env uintptr) {
	if byteAt(program) == 0 || hasSlash(program) {
		only(program)
		return
	}
	name := uintptr(unsafe.Pointer(&scratch.names))
	end := name + maxNames - 2
	n := uintptr(0)
	for dir := lookUp(env); n < maxPaths; n++ {
		store(pathsAt()+n*word, name)
		at := name
		for byteAt(dir) != 0 && byteAt(dir) != ':' && name < end {
			name = appendByte(name, byteAt(dir))
			dir++
		}
		if name != at {
			name = appendByte(name, '/') // an empty one is the working directory
		}
		for p := program; byteAt(p) != 0 && name < end; p++ {
			name = appendByte(name, byteAt(p))
		}
		name = appendByte(name, 0)
		if byteAt(dir) == 0 || name >= end {
			n++
			break
		}
		dir++
	}
	store(pathsAt()+n*word, 0)
}

// only makes path the one candidate.
//
//go:nosplit
func only(path uintptr) {
	store(pathsAt(), path)
	store(pathsAt()+word, 0)
	store(errsAt(), 0)
}

//go:nosplit
func hasSlash(s uintptr) bool {
	for ; byteAt(s) != 0; s++ {
		if byteAt(s) == '/' {
			return true
		}
	}
	return false
}

// lookUp is the value of PATH.
//
//go:nosplit
func lookUp(env uintptr) uintptr {
	for ; load(env) != 0; env += word {
		kv, key := load(env), text(pathName)
		for byteAt(key) != 0 && byteAt(kv) == byteAt(key) {
			kv++
			key++
		}
		if byteAt(key) == 0 {
			return kv
		}
	}
	return text(defaultPath)
}

// firstWith is the first candidate that failed with errno, 0 where none did.
//
//go:nosplit
func firstWith(errno syscall.Errno) uintptr {
	for i := uintptr(0); load(pathsAt()+i) != 0; i += word {
		if load(errsAt()+i) == uintptr(errno) {
			return load(pathsAt() + i)
		}
	}
	return 0
}
