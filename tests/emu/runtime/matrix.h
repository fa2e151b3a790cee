/* SPDX-License-Identifier: Apache-2.0 */
/* wmma's product, for warp.cc. */
#ifndef EMU_MATRIX_H
#define EMU_MATRIX_H

namespace emu
{

/* One emu::tile_lane for each of the 32 lanes. */
void multiply_tiles(void *const *lanes);

} /* namespace emu */

#endif
