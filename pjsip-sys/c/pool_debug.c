#include "pool_debug.h"

#if PJ_HAS_POOL_ALT_API

#include <pj/string.h>

pj_pool_t *pj_pool_create(pj_pool_factory *factory, const char *name, pj_size_t initial,
                          pj_size_t increment, pj_pool_callback *callback)
{
    return pj_pool_create_imp(__FILE__, __LINE__, factory, name, initial, increment, 0, callback);
}

void pj_pool_release(pj_pool_t *pool)
{
    pj_pool_release_imp(pool);
}

void pj_pool_reset(pj_pool_t *pool)
{
    pj_pool_reset_imp(pool);
}

void *pj_pool_alloc(pj_pool_t *pool, pj_size_t size)
{
    return pj_pool_alloc_imp(__FILE__, __LINE__, pool, 0, size);
}

void *pj_pool_calloc(pj_pool_t *pool, pj_size_t count, pj_size_t size)
{
    return pj_pool_calloc_imp(__FILE__, __LINE__, pool, (unsigned)count, (unsigned)size);
}

pj_size_t pj_pool_get_used_size(pj_pool_t *pool)
{
    return pj_pool_get_used_size_imp(pool);
}

/* Pools of this kind have no factory. */
void pj_caching_pool_init(pj_caching_pool *pool, const pj_pool_factory_policy *policy,
                          pj_size_t max_capacity)
{
    PJ_UNUSED_ARG(policy);
    PJ_UNUSED_ARG(max_capacity);
    pj_bzero(pool, sizeof(*pool));
}

void pj_caching_pool_destroy(pj_caching_pool *pool)
{
    PJ_UNUSED_ARG(pool);
}

const pj_pool_factory_policy *pj_pool_factory_get_default_policy(void)
{
    static const pj_pool_factory_policy none;

    return &none;
}

#endif
