/* SPDX-License-Identifier: MIT */
/*
 * System V ABI: rbx, rbp, r12-r15 and the stack pointer belong to the callee (section 3.2.1).
 * The jump ends with "pop; jmp" rather than "ret": the return predictor holds the other stack's caller.
 */
    .text
    .globl switch_jump
    .type switch_jump, @function
    .balign 16
switch_jump:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    jmp *%rcx
    .cfi_endproc
    .size switch_jump, .-switch_jump

/* The first code on a new stack: r12 holds the function, r13 its argument. Unwinders stop here. */
    .type boot, @function
    .balign 16
boot:
    .cfi_startproc
    .cfi_undefined %rip
    endbr64
    movq %r13, %rdi
    callq *%r12
    ud2
    .cfi_endproc
    .size boot, .-boot

/* switch_prepare(top, fn, arg): the frame that switch_jump pops, then boot's address. */
    .globl switch_prepare
    .type switch_prepare, @function
    .balign 16
switch_prepare:
    .cfi_startproc
    endbr64
    leaq -56(%rdi), %rax /* after the pops %rsp is `top`, aligned as a call wants it */
    movq $0, 0(%rax)
    movq $0, 8(%rax)
    movq %rdx, 16(%rax)
    movq %rsi, 24(%rax)
    movq $0, 32(%rax)
    movq $0, 40(%rax)
    leaq boot(%rip), %rcx
    movq %rcx, 48(%rax)
    retq
    .cfi_endproc
    .size switch_prepare, .-switch_prepare

    .section .note.GNU-stack,"",@progbits
