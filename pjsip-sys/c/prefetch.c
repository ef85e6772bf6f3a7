#include "prefetch.h"

#define LINE 64

void pjsys_prefetch(const void *data, pj_size_t size)
{
    const char *at = (const char *)data - (pj_size_t)data % LINE;
    const char *end = (const char *)data + size;
    for (; at < end; at += LINE)
        __builtin_prefetch(at, 1);
}
