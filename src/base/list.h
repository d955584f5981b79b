/* SPDX-License-Identifier: MIT */
/* list.h -- an intrusive, circular, doubly linked list. The head is a link of its own; {0} is not a list. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_ENTRY(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
/* A link that is in no list may be zero or point at itself. */
static inline bool list_linked(const struct list *l)
{
    return l->next && l->next != l;
}
static inline void list_add_last(struct list *head, struct list *l)
{
    l->prev = head->prev, l->next = head;
    head->prev->next = l, head->prev = l;
}
static inline void list_add_first(struct list *head, struct list *l)
{
    l->next = head->next, l->prev = head;
    head->next->prev = l, head->next = l;
}
/* Leaves `l` pointing at itself, so removing twice is harmless. */
static inline void list_remove(struct list *l)
{
    l->next->prev = l->prev, l->prev->next = l->next;
    list_init(l);
}
