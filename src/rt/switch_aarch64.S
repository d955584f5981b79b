/* SPDX-License-Identifier: MIT */
/*
 * AAPCS64: x19-x28, the frame pointer x29, the link register x30, sp, and the low halves of v8-v15 (d8-d15)
 * belong to the callee (section 6.1). 160 bytes a frame, which keeps sp aligned to 16.
 */
    .text
    .globl switch_jump
    .type switch_jump, %function
    .balign 16
switch_jump:
    .cfi_startproc
    sub sp, sp, #160
    .cfi_adjust_cfa_offset 160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    .cfi_adjust_cfa_offset -160
    br x30
    .cfi_endproc
    .size switch_jump, .-switch_jump

/* The first code on a new stack: x19 holds the function, x20 its argument. Unwinders stop here. */
    .type boot, %function
    .balign 16
boot:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
    .size boot, .-boot

    .globl switch_prepare
    .type switch_prepare, %function
    .balign 16
switch_prepare:
    .cfi_startproc
    sub x3, x0, #160
    stp x1, x2, [x3, #0]
    adr x4, boot
    stp xzr, x4, [x3, #80]
    mov x0, x3
    ret
    .cfi_endproc
    .size switch_prepare, .-switch_prepare

    .section .note.GNU-stack,"",%progbits
