/*
 * Under PJ_POOL_DEBUG the functions of pools are macros, which Rust cannot call. These have the
 * same names and parameters as the functions of other builds.
 */
#ifndef PJSIP_SYS_POOL_DEBUG_H
#define PJSIP_SYS_POOL_DEBUG_H

#include <pj/pool.h>

#if PJ_HAS_POOL_ALT_API

#undef pj_pool_create
#undef pj_pool_release
#undef pj_pool_reset
#undef pj_pool_alloc
#undef pj_pool_calloc
#undef pj_pool_get_used_size
#undef pj_caching_pool_init
#undef pj_caching_pool_destroy

pj_pool_t *pj_pool_create(pj_pool_factory *factory, const char *name, pj_size_t initial,
                          pj_size_t increment, pj_pool_callback *callback);
void pj_pool_release(pj_pool_t *pool);
void pj_pool_reset(pj_pool_t *pool);
void *pj_pool_alloc(pj_pool_t *pool, pj_size_t size);
void *pj_pool_calloc(pj_pool_t *pool, pj_size_t count, pj_size_t size);
pj_size_t pj_pool_get_used_size(pj_pool_t *pool);

void pj_caching_pool_init(pj_caching_pool *pool, const pj_pool_factory_policy *policy,
                          pj_size_t max_capacity);
void pj_caching_pool_destroy(pj_caching_pool *pool);
const pj_pool_factory_policy *pj_pool_factory_get_default_policy(void);

#endif
#endif
