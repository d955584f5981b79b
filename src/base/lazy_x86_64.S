/* SPDX-License-Identifier: MIT */
/*
 * The stubs of lazy.h, included by what tools/lazy makes. `function NAME` defines NAME and its slot.
 * System V ABI, section 3.2.3: arguments travel in rdi, rsi, rdx, rcx, r8, r9, xmm0-7, and al counts vector registers;
 * r11 is nobody's.
 */
    .macro function name
    .text
    .globl \name
    .hidden \name
    .type \name, @function
    .balign 16
\name:
    .cfi_startproc
    endbr64
    jmp *.Lslot_\name(%rip)
.Lfirst_\name:
    endbr64
    leaq .Lslot_\name(%rip), %r11
    jmp lazy_first
    .cfi_endproc
    .size \name, .-\name
    .section .data.rel.ro.lazy, "aw"
.Lslot_\name:
    .quad .Lfirst_\name
    .section .rodata.lazy, "a"
    .asciz "\name"
    .endm

/* The first call: r11 is the slot. */
    .text
    .type lazy_first, @function
    .balign 16
lazy_first:
    .cfi_startproc
    .irp register, rdi, rsi, rdx, rcx, r8, r9, rax, r11
    pushq %\register
    .cfi_adjust_cfa_offset 8
    .endr
    subq $136, %rsp
    .cfi_adjust_cfa_offset 136
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    movups %xmm\n, 16*\n(%rsp)
    .endr
    movq %r11, %rdi
    callq lazy_load
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    movups 16*\n(%rsp), %xmm\n
    .endr
    addq $136, %rsp
    .cfi_adjust_cfa_offset -136
    .irp register, r11, rax, r9, r8, rcx, rdx, rsi, rdi
    popq %\register
    .cfi_adjust_cfa_offset -8
    .endr
    jmp *(%r11)
    .cfi_endproc
    .size lazy_first, .-lazy_first

    .section .note.GNU-stack, "", @progbits
