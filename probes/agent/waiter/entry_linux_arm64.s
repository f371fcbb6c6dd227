#include "textflag.h"

#define SYS_execve 221
#define SYS_clone 220
#define SYS_exit_group 94
// CLONE_VM|CLONE_VFORK|SIGCHLD
#define VFORK 0x4111

// func start()
// The stack is the kernel's: argc, argv, 0, environment, 0.
TEXT ·start(SB), NOSPLIT|NOFRAME, $0
	MOVD 0(RSP), R0
	CMP  $4, R0
	BLT  runtime
	MOVD 16(RSP), R1          // argv[1]
	MOVBU 0(R1), R2
	CMP  $'r', R2
	BNE  runtime
	MOVBU 1(R1), R2
	CMP  $'u', R2
	BNE  runtime
	MOVBU 2(R1), R2
	CMP  $'n', R2
	BNE  runtime
	MOVBU 3(R1), R2
	CBNZ R2, runtime
	MOVD RSP, R3
	SUB  $64, RSP
	MOVD R3, 8(RSP)
	MOVD ZR, g
	BL   ·report(SB)
runtime:
	B    _rt0_arm64_linux(SB)

// func spawn(paths, argv, env, errs uintptr) (pid uintptr)
// The child has the parent's memory and leaves the stack alone.
TEXT ·spawn(SB), NOSPLIT|NOFRAME, $0-40
	MOVD paths+0(FP), R9
	MOVD argv+8(FP), R10
	MOVD env+16(FP), R11
	MOVD errs+24(FP), R12
	MOVD $VFORK, R0
	MOVD ZR, R1
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $SYS_clone, R8
	SVC
	CBZ  R0, child
	MOVD R0, pid+32(FP)
	RET
child:
	MOVD 0(R9), R0
	CBZ  R0, out
	MOVD R10, R1
	MOVD R11, R2
	MOVD $SYS_execve, R8
	SVC
	NEG  R0, R0
	MOVD R0, 0(R12)
	ADD  $8, R9
	ADD  $8, R12
	B    child
out:
	MOVD $127, R0
	MOVD $SYS_exit_group, R8
	SVC
	UNDEF
