/* SPDX-License-Identifier: MIT */
/*
 * The stubs of lazy.h, included by what tools/lazy makes. `function NAME` defines NAME and its slot.
 * AAPCS64, section 6.1: arguments travel in x0-x7, x8 (the place of a result) and v0-v7; x16 and x17 are for
 * stubs like these.
 */
    .macro function name
    .text
    .globl \name
    .hidden \name
    .type \name, %function
    .balign 16
\name:
    .cfi_startproc
    hint #34 // bti c
    adrp x16, .Lslot_\name
    ldr x17, [x16, :lo12:.Lslot_\name]
    br x17
.Lfirst_\name:
    hint #34
    adrp x16, .Lslot_\name
    add x16, x16, :lo12:.Lslot_\name
    b lazy_first
    .cfi_endproc
    .size \name, .-\name
    .section .data.rel.ro.lazy, "aw"
.Lslot_\name:
    .quad .Lfirst_\name
    .section .rodata.lazy, "a"
    .asciz "\name"
    .endm

/* The first call: x16 is the slot. */
    .text
    .type lazy_first, %function
    .balign 16
lazy_first:
    .cfi_startproc
    stp x29, x30, [sp, #-224]!
    .cfi_adjust_cfa_offset 224
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    mov x29, sp
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    stp x8, x16, [sp, #80]
    stp q0, q1, [sp, #96]
    stp q2, q3, [sp, #128]
    stp q4, q5, [sp, #160]
    stp q6, q7, [sp, #192]
    mov x0, x16
    bl lazy_load
    ldp q6, q7, [sp, #192]
    ldp q4, q5, [sp, #160]
    ldp q2, q3, [sp, #128]
    ldp q0, q1, [sp, #96]
    ldp x8, x16, [sp, #80]
    ldp x6, x7, [sp, #64]
    ldp x4, x5, [sp, #48]
    ldp x2, x3, [sp, #32]
    ldp x0, x1, [sp, #16]
    ldp x29, x30, [sp], #224
    .cfi_adjust_cfa_offset -224
    .cfi_restore x29
    .cfi_restore x30
    ldr x17, [x16]
    br x17
    .cfi_endproc
    .size lazy_first, .-lazy_first

    .section .note.GNU-stack, "", %progbits
