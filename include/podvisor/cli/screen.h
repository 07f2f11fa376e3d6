/* screen owns the terminal that a command draws on: its size, a picture that is
 * drawn again in place without a flicker, and leaving it as it was. */
#ifndef PODVISOR_CLI_SCREEN_H
#define PODVISOR_CLI_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

/* Columns and rows of the terminal that to is; 0 when it is none. */
int screen_columns(FILE *to);
int screen_rows(FILE *to);
/* to is a terminal on which a picture can be drawn in place. */
bool screen_can_draw(FILE *to);

/* Writes the lines of text, each cut with … to so many columns (0: whole);
 * escape sequences for colours take none. */
void screen_put_lines(FILE *to, const char *text, int columns);
/* The first of them, without its newline; returns where it ends in text. */
const char *screen_put_line(FILE *to, const char *text, int columns);

/* The terminal's other screen, without a cursor; and back. */
void screen_enter(FILE *to);
void screen_leave(FILE *to);
/* Draws over what is there, cut to the size of the terminal; one write. */
void screen_draw(FILE *to, const char *text);

#endif
