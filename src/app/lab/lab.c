/* SPDX-License-Identifier: MIT */
#include "app/lab/lab.h"

err_t lab_open(struct lab *lab)
{
    for (; lab_parts[lab->opened].label; lab->opened++)
        TRY(lab_parts[lab->opened].open(lab, lab->points[lab->opened]));
    return NULL;
}

err_t lab_start(struct lab *lab, int worker)
{
    for (int i = 0; i < lab->opened; i++)
        TRY(lab_parts[i].start(lab, lab->points[i], worker));
    return NULL;
}

void lab_drain(struct lab *lab, int worker)
{
    for (int i = 0; i < lab->opened; i++)
        if (lab_parts[i].drain)
            lab_parts[i].drain(lab, worker);
}

void lab_close(struct lab *lab)
{
    for (int i = 0; lab_parts[i].label; i++)
        if (lab_parts[i].close)
            lab_parts[i].close(lab);
}
