// Matrix products: packing, blocking for the caches, and threads, over KernelTable::gemm_tile.
#pragma once

#include "isa/table.h"
#include "matrix_view.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

// The left-hand matrix, packed in tiles of nearly equal height as Product::a has them.
struct PackedRows {
  const KernelTable* table;
  Precision precision;
  std::int64_t rows;
  std::int64_t depth;      // words of the right-hand matrix
  std::int64_t row_words;  // of a row here
  std::int64_t tile_rows;  // of all tiles but the last
  std::uint32_t* words;
  float* row_scale;  // (rows)

  std::int64_t tiles() const { return ceil_div(rows, tile_rows); }
  std::int64_t pass() const { return tile_rows * kPassStride; }
  std::int64_t tile_words() const { return ceil_div(row_words, kPassWords) * pass(); }
  Range tile(std::int64_t index) const;
  // Rows tile(index) become the left side of a product.
  void set_left(Product& product, std::int64_t index) const;
};

// Room for `rows` rows of `depth` numbers in tiles of at most `most` rows.
PackedRows take_rows(const KernelTable& table, Precision precision, std::int64_t rows,
                     std::int64_t depth, std::int64_t most, WorkspaceScope& scope);

// The same room for fewer rows.
PackedRows with_rows(PackedRows packed, std::int64_t rows, std::int64_t most) noexcept;

// Packs the rows of `a`, which become rows `first` and on.
void pack_rows(ConstMatrix a, const PackedRows& packed, std::int64_t first) noexcept;

// A left-hand matrix whose rows are made when they are packed.
class LeftRows {
 public:
  virtual std::int64_t rows() const noexcept = 0;
  virtual std::int64_t cols() const noexcept = 0;
  // What packing them all costs, in multiply-adds.
  virtual std::int64_t work() const noexcept = 0;
  // Takes the memory that `threads` threads need to pack.
  virtual void prepare(int threads, WorkspaceScope& scope) = 0;
  // Packs rows `rows`, which become rows `first` and on.
  virtual void pack(Range rows, const PackedRows& packed, std::int64_t first,
                    int rank) const noexcept = 0;

 protected:
  ~LeftRows() = default;
};

// A matrix as it lies.
class PlainRows final : public LeftRows {
 public:
  explicit PlainRows(ConstMatrix matrix) : matrix_(matrix) {}

  std::int64_t rows() const noexcept override { return matrix_.rows; }
  std::int64_t cols() const noexcept override { return matrix_.cols; }
  std::int64_t work() const noexcept override;
  void prepare(int, WorkspaceScope&) override {}
  void pack(Range rows, const PackedRows& packed, std::int64_t first,
            int rank) const noexcept override;

 private:
  ConstMatrix matrix_;
};

struct Words {
  const std::uint32_t* data;
  std::int64_t count;
};

// The index-th of `count` that are alike.
struct Turn {
  std::int64_t index;
  std::int64_t count;
};

// The tiles that use a panel, each for so many steps along the depth, share out evenly asking for
// what comes next.
void set_ahead(Product& product, const KernelTable& table, Words next, std::int64_t steps,
               Turn turn) noexcept;

// The right-hand matrix, in panels of KernelTable::gemm_cols columns: word k of column j is
// data[(j / gemm_cols) * panel_stride + k * row_stride + j % gemm_cols].
struct RightMatrix {
  const std::uint32_t* data;
  std::int64_t panel_stride;
  std::int64_t row_stride;
  std::int64_t cols;
  bool padded;  // the last panel may be read to its full width
  const float* col_scale;          // int8: (cols)
  const std::int32_t* col_offset;  // int8: (cols)
};

RightMatrix packed_right(const PackedMatrix& w) noexcept;
// A matrix (depth, cols) of fp32 as it lies.
RightMatrix plain_right(const KernelTable& table, ConstMatrix b) noexcept;

// What is added to the product; each may be null.
struct Epilogue {
  const float* bias = nullptr;        // (cols)
  const float* residual = nullptr;    // (rows, cols), row stride residual_stride; may be c itself
  std::int64_t residual_stride = 0;
  const float* row_factor = nullptr;  // (rows) with col_factor: row_factor col_factor^T
  const float* col_factor = nullptr;  // (cols)
};

// c (a.rows, b.cols) = a b + epilogue; c shares no memory with a or b.
struct Gemm {
  PackedRows a;
  RightMatrix b;
  Matrix c;
  Epilogue epilogue;
};

// The panels of columns named, on the calling thread.
void gemm_part(const Gemm& gemm, Range panels) noexcept;

// All of it, on the calling thread.
void gemm_serial(const Gemm& gemm) noexcept;

// c (a.rows(), b.cols) = a b + epilogue on up to `threads` threads (0: all); b holds `precision`.
void gemm_parallel(const KernelTable& table, Precision precision, LeftRows& a,
                   const RightMatrix& b, Matrix c, const Epilogue& epilogue, Workspace& workspace,
                   int threads);

}  // namespace refine_itr
