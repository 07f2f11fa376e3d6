#include "podvisor/wire/shim.h"

static const char *const step_texts[SHIM_STEP_COUNT] = {
#define SHIM_TEXT(id, text) [id] = text,
	SHIM_STEPS(SHIM_TEXT)
#undef SHIM_TEXT
};

const char *shim_step_text(uint32_t step)
{
	return step < SHIM_STEP_COUNT ? step_texts[step] : "start";
}
