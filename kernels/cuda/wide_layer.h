// A decoder layer for many rows: the products are cuBLAS's, and all that lies between two of them is one kernel.
#pragma once

#include "kernels/cuda/products.h"
#include "kernels/decoder_layer.h"

namespace glassbox::cuda {

// Whether wide_layer() can do it: there is cuBLAS, and sizes that it and the attention can hold.
bool fits_wide_layer(const Products& products, const DecoderLayer& layer, const AttentionArgs& args);

// resid [R, C], in and out; keys and values of the rows go into the cache. All work is on `stream`, which is the
// products' too. Storing outputs changes no bit of anything else.
cudaError_t wide_layer(Products& products, const DecoderLayer& layer, const AttentionArgs& args, Precision precision,
                       float* resid, const LayerScratch& scratch, const LayerOutputs& outputs, cudaStream_t stream);

}  // namespace glassbox::cuda
