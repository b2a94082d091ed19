--- Names that a misspelled one may have meant.
-- @module luaprobe.nearest
local M = {}

-- How many letters have to be changed, put in or taken out.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local change = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

--- The names of a list that differ by few letters, or contain the given one.
-- @tparam string name
-- @tparam {string,…} list
-- @tparam[opt=3] number most
-- @treturn {string,…} the nearest first
function M.find(name, list, most)
  local found = {}
  for _, other in ipairs(list) do
    local far = distance(name, other)
    if far <= math.max(1, #name / 3) then
      found[#found + 1] = { name = other, far = far }
    elseif #name > 2 and other:find(name, 1, true) then
      found[#found + 1] = { name = other, far = #name / 3 + far / 100 }
    end
  end
  table.sort(found, function(a, b) return a.far < b.far or a.far == b.far and a.name < b.name end)
  local names = {}
  for i = 1, math.min(most or 3, #found) do names[i] = found[i].name end
  return names
end

--- A hint made of them, or of the whole list where it is short.
-- @treturn string|nil
function M.hint(name, list, what)
  local near = M.find(name, list)
  if #near > 0 then return "did you mean " .. table.concat(near, " or ") .. "?" end
  if #list == 0 then return nil end
  table.sort(list)
  local some = { unpack(list, 1, 12) }
  return ("%s %s%s"):format(what, table.concat(some, ", "), #list > #some and ", …" or "")
end

return M
