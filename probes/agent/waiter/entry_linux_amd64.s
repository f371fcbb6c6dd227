#include "textflag.h"

#define SYS_execve 59
#define SYS_vfork 58
#define SYS_arch_prctl 158
#define SYS_exit_group 231
#define ARCH_SET_FS 0x1002

// func start()
// The stack is the kernel's: argc, argv, 0, environment, 0.
TEXT ·start(SB), NOSPLIT|NOFRAME, $0
	CMPQ 0(SP), $4
	JLT  runtime
	MOVQ 16(SP), AX           // argv[1]
	CMPL 0(AX), $0x006e7572   // "run"; other arguments stand behind a shorter one
	JNE  runtime
	// A call from here loads the goroutine from thread-local storage, which has to be somewhere; what is there is never used.
	MOVQ SP, BX
	LEAQ ·storage+56(SB), SI
	MOVQ $ARCH_SET_FS, DI
	MOVQ $SYS_arch_prctl, AX
	SYSCALL
	ANDQ $~15, SP
	SUBQ $64, SP
	MOVQ BX, 0(SP)
	CALL ·report(SB)
runtime:
	JMP _rt0_amd64_linux(SB)

// func spawn(paths, argv, env, errs uintptr) (pid uintptr)
// The child has the parent's memory and leaves the stack alone.
TEXT ·spawn(SB), NOSPLIT|NOFRAME, $0-40
	MOVQ paths+0(FP), R8
	MOVQ argv+8(FP), R9
	MOVQ env+16(FP), R10
	MOVQ errs+24(FP), R12
	MOVQ $SYS_vfork, AX
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	MOVQ AX, pid+32(FP)
	RET
child:
	MOVQ 0(R8), DI
	TESTQ DI, DI
	JEQ  out
	MOVQ R9, SI
	MOVQ R10, DX
	MOVQ $SYS_execve, AX
	SYSCALL
	NEGQ AX
	MOVQ AX, 0(R12)
	ADDQ $8, R8
	ADDQ $8, R12
	JMP  child
out:
	MOVQ $127, DI
	MOVQ $SYS_exit_group, AX
	SYSCALL
	INT  $3

GLOBL ·storage(SB), NOPTR, $64
