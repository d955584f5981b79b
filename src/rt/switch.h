/* SPDX-License-Identifier: MIT */
/*
 * switch.h -- change stacks: the one thing that C cannot say.
 *
 * switch_x86_64.S and switch_aarch64.S save the registers that their ABI calls callee-saved and swap the stack
 * pointer; switch_ucontext.c does the same through libc, for other machines and to check the assembly against
 * (meson -Dfiber=ucontext). Signal masks and the floating-point control words are not switched by the assembly:
 * no fiber changes them.
 */
#pragma once

/* Lay out a new stack so that the first jump to the returned handle calls boot(arg) there. `top` is the highest
   address of the stack, 16-byte aligned. `boot` must never return. */
void *switch_prepare(void *top, void (*boot)(void *arg), void *arg);

/* Save the running context behind `*save` and carry on where `to` was saved. */
void switch_jump(void **save, void *to);
