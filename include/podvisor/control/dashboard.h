/* dashboard owns the page that people look at: one HTML file without any
 * reference to the outside, built into the program (dashboard.html). */
#ifndef PODVISOR_CONTROL_DASHBOARD_H
#define PODVISOR_CONTROL_DASHBOARD_H

#include "podvisor/control/answer.h"

#define DASHBOARD_NONCE 32 /* hex digits */

/* nonce: random; the page's own script and style carry it, nothing else may run
 * (CSP). */
void dashboard_answer(const char nonce[DASHBOARD_NONCE + 1], struct answer *a);

#endif
